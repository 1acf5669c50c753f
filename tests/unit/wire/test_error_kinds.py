"""The table of error kinds: what servers say, as known from public issues, documentation and their sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hf_openobserve.wire.error_kinds import _RULES, BY_CLASS, KINDS, kind_of

ANCHORS = Path(__file__).resolve().parents[3] / "docs" / "errors.md"


SENTENCES = {
    "auth_invalid": [
        (401, "Invalid username or password."),
        (401, "Invalid credentials in Authorization header"),
        (401, 'User Access Token "ci" is expired'),
        (401, "Incorrect API key provided: sk-***."),
        (401, "No auth credentials found"),
        (403, "Invalid API Key"),
        (400, "API key not valid. Please pass a valid API key."),
        (None, "Could not resolve authentication method."),
        (None, "You must provide an api_key to work with together API or log in with `hf auth login`."),
        (None, "Cannot select auto-router when using non-Hugging Face API key."),
    ],
    "credits_exhausted": [
        (402, "You have depleted your monthly included credits. Purchase pre-paid credits to continue."),
        (402, "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO."),
        (429, "You have exceeded your monthly included credits for Inference Providers."),
        (403, "not enough balance"),
        (402, "Insufficient Balance"),
        (429, "Insufficient balance or no resource package. Please recharge."),
        (429, "You exceeded your current quota, please check your plan and billing details."),
        (429, "Billing hard limit has been reached"),
        (403, "Your credit balance is too low to access the API."),
        (402, "Credit limit exceeded, please navigate to the billing page."),
        (429, "Your account has reached its monthly spending limit."),
    ],
    "permission_missing": [
        (403, "This authentication method does not have sufficient permissions to call Inference Providers"),
        (401, "You have insufficient permissions for this operation."),
        (401, "Missing scopes: model.request"),
        (401, "You do not have the permission to use this model."),
        (400, "Model requires a Pro subscription; check out hf.co/pricing to learn more."),
    ],
    "gated_model": [
        (403, "Cannot access gated repo for url https://huggingface.co/org/name."),
        (403, "You are not in the authorized list."),
        (403, "Visit https://huggingface.co/org/name to ask for access."),
        (401, "Access to model org/name is restricted. You must have access to it and be authenticated to access it."),
        (403, "Your request to get in is awaiting a review from the repo authors."),
    ],
    "model_not_supported": [
        (400, "The requested model 'org/name' is not supported by any provider you have enabled."),
        (400, "Model not supported by provider hf-inference"),
        (410, "The requested model is deprecated and no longer supported by provider hf-inference."),
        (403, "The model org/name is too large to be loaded automatically (16GB > 10GB)."),
        (404, "Repository not found"),
        (404, "Model org/name does not exist"),
        (404, "The model `org/name` does not exist or you do not have access to it."),
        (404, "Unable to access model org/name. Please visit https://example.com to view the list"),
        (404, "Model not found, inaccessible, and/or not deployed"),
        (404, "model 'llama3' not found, try pulling it first"),
        (400, "Invalid model: org/name"),
        (400, "The model `org/name` has been decommissioned and is no longer supported."),
        (404, "Unknown model: org/name"),
        (None, "Model org/name is not supported by provider together."),
        (None, "Model org/name is not supported for task text-generation and provider novita. Supported task: x."),
        (None, "Provider 'nobody' not supported. Available values: 'auto' or any provider from [...]"),
        (None, "Task 'conversational' not supported for provider 'fal-ai'."),
        (None, "No provider mapping found for model org/name"),
    ],
    "rate_limited": [
        (429, "Rate limit exceeded for this model."),
        (429, "Too many requests"),
        (429, "You have been rate limited. Your rate limit is 60 queries per minute."),
        (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 12000"),
        (503, "Rate limit reached, slow down"),
        (429, "You reached free usage limit (reset hourly). Please subscribe to a plan."),
        (429, "Throttling error: Too many tokens, please wait before trying again."),
        (403, "API rate limit exceeded"),
    ],
    "model_loading": [
        (503, "Model org/name is currently loading"),
        (503, "Loading model"),
        (502, "The endpoint is scaled to 0"),
        (400, "Bad Request: Invalid state"),
        (400, "Bad Request: The endpoint is paused, ask a maintainer to restart it"),
    ],
    "provider_overloaded": [
        (429, "Model is overloaded"),
        (503, "Model too busy, unable to get response in less than 60 second(s)"),
        (503, "no healthy upstream"),
        (429, "We're experiencing high traffic right now! Please try again soon."),
        (429, "Infrastructure is at maximum capacity, try again later"),
        (429, "Service tier capacity exceeded for this model."),
        (503, "The server is overloaded or not ready yet."),
        (500, "The server is busy. Please try again later."),
    ],
    "gateway_timeout": [
        (504, "upstream request timeout"),
        (500, "Request timed out."),
        (502, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    ],
    "context_length": [
        (400, "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."),
        (400, "'max_tokens' is too large: 5000. This model's maximum context length is 4096 tokens."),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        (
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens",
        ),
        (422, "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000"),
        (413, "Input validation error: `inputs` must have less than 512 tokens. Given: 600"),
        (400, "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
        (400, "The input (265330 tokens) is longer than the model's context length (262144 tokens)."),
        (400, "The prompt is too long: 140000, model maximum context length: 131072"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "Please reduce the length of the messages or completion. Current length is 8343 while limit is 8192"),
        (400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
        (400, "too many tokens: total number of tokens in the prompt must be 4081 - received 10000"),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
        (400, "prompt token count of 145000 exceeds the limit of 128000"),
        (400, "tokens in request more than max tokens allowed"),
        (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
        (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens"),
        (400, "Range of input length should be [1, 129024]"),
        (400, "Prompt exceeds max length"),
        (500, "the input length exceeds the context length"),
        (400, "tokens to keep from the initial prompt is greater than the context length"),
        (400, "Your request exceeded model token limit: 262144 (requested: 300000)"),
        (400, "Prompt has 300,000 tokens, but the configured context size is 131,072 tokens"),
    ],
    "content_filter": [
        (400, "The response was filtered due to the prompt triggering the content management policy."),
        (400, "Your request was rejected as a result of our safety system."),
        (400, "Invalid prompt: your prompt was flagged as potentially harmful."),
        (400, "Content Exists Risk"),
        (400, "Input data may contain inappropriate content."),
        (403, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_CSAM"),
        (403, "openai/x requires moderation on OpenAI."),
        (400, "System detected potentially unsafe or sensitive content in input or generation."),
    ],
}
"""What Hugging Face, its providers, and the servers that people run themselves say: OpenAI, vLLM, SGLang, Text
Generation Inference and Embeddings, llama.cpp, Ollama, Together, Fireworks, Cerebras, Groq, Mistral, Cohere, Gemini,
xAI, Qwen, DeepSeek.
"""


@pytest.mark.parametrize(
    ("status_code", "sentence", "kind"),
    [(status_code, sentence, kind) for kind, cases in SENTENCES.items() for status_code, sentence in cases],
)
def test_a_sentence_says_the_kind_with_its_status_and_without(status_code, sentence, kind):
    assert kind_of(status_code=status_code, sentence=sentence) == kind
    assert kind_of(sentence=sentence) == kind, "as inside a stream"


CODES = {
    "auth_invalid": "invalid_api_key authentication_error",
    "credits_exhausted": "insufficient_quota billing_hard_limit_reached billing_not_active not_enough_balance"
    " credit_limit",
    "permission_missing": "insufficient_permissions permission_error",
    "gated_model": "gatedrepo model_terms_required",
    "model_not_supported": "model_not_supported model_not_found model_not_available model_decommissioned invalid_model"
    " reponotfound",
    "rate_limited": "rate_limit_exceeded rate_limit_error too_many_requests throttlingexception resource_exhausted",
    "model_loading": "model_loading",
    "provider_overloaded": "overloaded overloaded_error queue_exceeded",
    "gateway_timeout": "timeout timeout_error",
    "context_length": "context_length_exceeded exceed_context_size_error model_context_window_exceeded",
    "content_filter": "content_filter content_policy_violation moderation_blocked data_inspection_failed",
    "bad_request": "validation validation_error invalid_request_error invalid_request bad_request",
    "server_error": "server_error internal_error internal_server_error generation api_error",
}


@pytest.mark.parametrize(
    ("code", "kind"), [(code, kind) for kind, codes in CODES.items() for code in codes.split()], ids=str
)
def test_a_code_says_the_kind_by_itself(code, kind):
    assert kind_of(codes=[code]) == kind


@pytest.mark.parametrize(
    ("status_code", "sentence", "codes", "kind"),
    [
        # The budget, not the pace; the pace, not the size; the load, not the pace.
        (
            429,
            "Rate limit: you have depleted your monthly included credits",
            ["rate_limit_exceeded"],
            "credits_exhausted",
        ),
        (429, "Rate limit exceeded; tokens exceed the context of your tier", [], "rate_limited"),
        (413, "Request too large for model `x`", ["rate_limit_exceeded"], "rate_limited"),
        (429, "Input tokens exceed what is left for you", [], "rate_limited"),
        (None, "The number of input tokens has exceeded your per-minute rate limit", [], "rate_limited"),
        (429, "Please wait", ["overloaded"], "provider_overloaded"),
        (429, "Please wait", ["queue_exceeded", "too_many_requests_error"], "provider_overloaded"),
        # A status that the sentence contradicts.
        (503, "Model org/name is not available right now.", [], "provider_overloaded"),
        (400, "Overloaded functions are not supported in tools.", [], "bad_request"),
        (429, "Your traffic was flagged as unusual.", [], "rate_limited"),
        (500, "[Errno 13] You do not have permission to write /data", [], "server_error"),
        (502, "Invalid API key", [], "server_error"),  # the router's own, at a provider
        (503, "Request blocked.", [], "provider_overloaded"),
        (400, "'request timeout' must be a number", [], "bad_request"),
        (400, "Unknown parameter: rate_limit", [], "bad_request"),
        # Nothing is said of the model, the context or the content.
        (410, "https://api-inference.huggingface.co is no longer supported. Please use the router", [], "bad_request"),
        (400, "response_format is not supported by this provider", ["invalid_request_error"], "bad_request"),
        (400, "This model does not support tools.", [], "bad_request"),
        (
            400,
            "max_tokens is too large: 50000. This model supports at most 16384 completion tokens.",
            [],
            "bad_request",
        ),
        (400, "Failed to call a function. Please adjust your prompt.", ["tool_use_failed"], "bad_request"),
        (422, "Input validation error: `temperature` must be strictly positive", ["validation"], "bad_request"),
        (400, "'messages' is a required property", [], "bad_request"),
        (413, "Payload Too Large", [], "bad_request"),
        (400, "Invalid token '<' in JSON at position 0", [], "bad_request"),
        (400, "logit_bias: token 128256 is invalid", [], "bad_request"),
        (400, "max_tokens must be less than 4096 tokens", [], "bad_request"),
        (400, "content checksum mismatch", [], "bad_request"),
        (401, "Request access token is missing", [], "auth_invalid"),
        (500, "CUDA out of memory", [], "server_error"),
        (424, "Request failed during generation", ["generation"], "server_error"),
        # A wrong request that is quoted, and a server that speaks of the account.
        (400, "Invalid value for 'content': 'please ask for access to the building'", [], "bad_request"),
        (422, "Input should be a valid string: 'request access please'", [], "bad_request"),
        (400, "The prompt 'I have no credits' is not valid", [], "bad_request"),
        (400, "Invalid value for 'content': 'You have exceeded your credits'", [], "bad_request"),
        (400, "Invalid value for 'content': 'Your account has insufficient balance'", [], "bad_request"),
        (422, "messages.0.content: 'insufficient balance'", [], "bad_request"),
        (400, "You have exceeded your monthly spend limit", [], "credits_exhausted"),
        (400, "You've depleted your monthly included credits.", [], "credits_exhausted"),
        (400, "Error: You exceeded your current quota.", [], "credits_exhausted"),
        (400, "Your credit balance is too low to access the API.", [], "credits_exhausted"),
        (400, "Request refused. Your account has insufficient funds", [], "credits_exhausted"),
        (400, "Billing hard limit has been reached", [], "credits_exhausted"),
        (400, "Please pay", ["billing_hard_limit_reached"], "credits_exhausted"),
        (403, "This model is gated", [], "gated_model"),
        # A firewall's page.
        (403, "Attention Required! | Cloudflare", [], None),
        (403, "ERROR: The request could not be satisfied", [], None),
        (403, "Request blocked.", [], None),
        (200, "fine", [], None),
        (None, "something else", [], None),
    ],
)
def test_what_could_be_mistaken(status_code, sentence, codes, kind):
    assert kind_of(status_code=status_code, sentence=sentence, codes=codes) == kind


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        (400, "bad_request"),
        (401, "auth_invalid"),
        (402, "credits_exhausted"),
        (403, "permission_missing"),
        (404, "bad_request"),
        (405, "bad_request"),
        (407, "connection"),
        (408, "gateway_timeout"),
        (410, "bad_request"),
        (413, "bad_request"),
        (422, "bad_request"),
        (424, "server_error"),
        (429, "rate_limited"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "provider_overloaded"),
        (504, "gateway_timeout"),
        (522, "gateway_timeout"),
        (524, "gateway_timeout"),
        (529, "provider_overloaded"),
    ],
)
def test_a_status_without_a_word(status_code, kind):
    assert kind_of(status_code=status_code) == kind


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://router.huggingface.co/hf-inference/models/org/name", "model_not_supported"),
        ("/hf-inference/models/org/name/pipeline/feature-extraction", "model_not_supported"),
        ("https://router.huggingface.co/v1/chat/completions", "bad_request"),
        ("https://router.huggingface.co/v1/models/org/name", "bad_request"),
        ("https://api-inference.huggingface.co/models/org/name", "bad_request"),
        ("http://localhost/models/llama/v1/wrong", "bad_request"),
        ("http://[", "bad_request"),
    ],
)
def test_not_found_is_the_models_fault_only_where_the_address_names_it(url, kind):
    assert kind_of(status_code=404, sentence="Not Found", url=url) == kind


DEDICATED = "https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions"


@pytest.mark.parametrize(
    ("status_code", "sentence", "url", "kind"),
    [
        (502, "", DEDICATED, "model_loading"),
        (502, "502 Bad Gateway", DEDICATED, "model_loading"),
        (503, "Service Unavailable", DEDICATED, "model_loading"),
        (503, "Model is overloaded", DEDICATED, "provider_overloaded"),
        (500, "", DEDICATED, "server_error"),
        (429, "", DEDICATED, "rate_limited"),
        (503, "", "https://router.huggingface.co/v1/chat/completions", "provider_overloaded"),
        (502, "", "https://router.huggingface.co/v1/chat/completions", "server_error"),
        (503, "", "https://endpoints.huggingface.cloud.example.com/v1", "provider_overloaded"),
    ],
)
def test_a_dedicated_endpoint_that_is_not_there_is_on_its_way(status_code, sentence, url, kind):
    assert kind_of(status_code=status_code, sentence=sentence, url=url) == kind


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "stream_broken"),
        ({"sentence": "The provider went away", "codes": ["server_error"]}, "stream_broken"),
        ({"sentence": "Request failed during generation", "codes": ["generation"]}, "stream_broken"),
        ({"status_code": 500}, "stream_broken"),
        ({"status_code": 400}, "bad_request"),
        ({"status_code": 429}, "rate_limited"),
        ({"sentence": "Model is overloaded"}, "provider_overloaded"),
        ({"sentence": "You have depleted your monthly included credits."}, "credits_exhausted"),
        ({"sentence": "upstream request timeout"}, "gateway_timeout"),
        ({"sentence": "This model's maximum context length is 4096 tokens."}, "context_length"),
    ],
)
def test_inside_a_stream_what_has_no_better_name_is_a_broken_stream(given, kind):
    assert kind_of(streaming=True, **given) == kind


@pytest.mark.parametrize("status_code", [None, *range(100, 600)])
def test_every_status_by_itself_has_a_kind_of_the_list_or_none(status_code):
    kind = kind_of(status_code=status_code)
    assert kind in (*KINDS, None)
    assert (kind is not None) is (status_code is not None and status_code >= 400 and status_code != 499)


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.kind or "none")
def test_rules_are_in_lower_case_and_of_the_list(rule):
    assert rule.kind in (*KINDS, None)
    assert {code.lower() for code in rule.codes} == rule.codes
    assert re.sub(r"\\[A-Z]", "", rule.words).lower() == re.sub(r"\\[A-Z]", "", rule.words)
    re.compile(rule.words)


def test_every_kind_can_come_about_and_none_other():
    kinds = (
        {rule.kind for rule in _RULES}
        | {kind for kind, _ in BY_CLASS}
        | {"bad_request", "server_error", "stream_broken"}
    )
    assert kinds - {None} == set(KINDS)


def test_every_kind_has_its_section_in_the_documentation():
    sections = re.findall(r"(?m)^## (.+)$", ANCHORS.read_text(encoding="utf-8"))
    assert [section for section in sections if section in KINDS] == list(KINDS)
