from dotenv import load_dotenv

load_dotenv()

import os

from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from openobserve import openobserve_init

OpenAIInstrumentor().instrument()
openobserve_init()

client = OpenAI(
    base_url=os.environ["HF_BASE_URL"],
    api_key=os.environ["HF_TOKEN"],
)

response = client.chat.completions.create(
    model="meta-llama/Llama-3.1-8B-Instruct",
    messages=[{"role": "user", "content": "Explain observability in one sentence."}],
    max_tokens=50,
)
print(response.choices[0].message.content)
