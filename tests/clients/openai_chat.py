"""The official openai package against a running gateway: whole, streamed, tools, errors, models, sync and async.

usage: openai_chat.py BASE_URL CA_FILE KEY
"""

import asyncio
import json
import ssl
import sys

import openai

MODEL = "reasoner"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def ask(text):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


def whole(client):
    raw = client.chat.completions.with_raw_response.create(**ask("hello"), extra_body={"x_vendor": {"a": 1}})
    assert raw.headers["x-request-id"]
    reply = raw.parse()
    message = reply.choices[0].message
    assert message.content == "Olá, mundo", message
    assert message.reasoning_content == "Thinking.", message
    assert reply.usage.total_tokens == 18 and reply.choices[0].finish_reason == "stop"


def streamed(client):
    answer, reasoning, usage = "", "", None
    stream = client.chat.completions.create(**ask("hello"), stream=True, stream_options={"include_usage": True})
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            answer += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
    assert (answer, reasoning) == ("Olá, mundo", "Thinking."), (answer, reasoning)
    assert usage.completion_tokens == 7


def tools(client):
    reply = client.chat.completions.create(**ask("use the tool"), tools=TOOLS)
    call = reply.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Porto"})
    name, arguments = "", ""
    for chunk in client.chat.completions.create(**ask("use the tool"), tools=TOOLS, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    assert (name, json.loads(arguments)) == ("weather", {"city": "Porto"})


def errors(client, stranger):
    cases = [
        (openai.AuthenticationError, lambda: stranger.chat.completions.create(**ask("hello"))),
        (openai.AuthenticationError, lambda: stranger.models.list()),
        (openai.NotFoundError, lambda: client.chat.completions.create(**{**ask("hello"), "model": "unknown"})),
        (openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[])),
        (openai.RateLimitError, lambda: client.chat.completions.create(**ask("limit me"))),
        (openai.RateLimitError, lambda: client.chat.completions.create(**ask("limit me"), stream=True)),
    ]
    for kind, call in cases:
        try:
            call()
        except kind as error:
            assert error.message, error
            assert isinstance(error.body, dict) and error.body["message"], error.body
        else:
            raise AssertionError(f"{kind.__name__} was expected")


async def at_once(client):
    async def one():
        stream = await client.chat.completions.create(**ask("hello"), stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    answers = await asyncio.gather(*(one() for _ in range(8)))
    assert answers == ["Olá, mundo"] * 8, answers
    await client.close()


def main(base_url, ca_file, key):
    trust = ssl.create_default_context(cafile=ca_file)

    def client(key):
        return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, http_client=openai.DefaultHttpxClient(verify=trust))

    known, stranger = client(key), client("sk-nobody-knows-me-0")
    assert [model.id for model in known.models.list()] == [MODEL]
    whole(known)
    streamed(known)
    tools(known)
    errors(known, stranger)
    asynchronous = openai.AsyncOpenAI(
        base_url=base_url, api_key=key, max_retries=0, http_client=openai.DefaultAsyncHttpxClient(verify=trust)
    )
    asyncio.run(at_once(asynchronous))
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
