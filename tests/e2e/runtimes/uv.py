"""Twenty calls at once on uvloop."""

import asyncio
import os

import openai
import uvloop


async def main():
    client = openai.AsyncOpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)

    async def ask(label):
        answer = await client.chat.completions.create(
            model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "Hi"}], user=label
        )
        return answer.choices[0].message.content

    print(type(asyncio.get_running_loop()).__module__)
    print(await asyncio.gather(*(ask(f"task-{number}") for number in range(20))))
    await client.close()


uvloop.run(main())
