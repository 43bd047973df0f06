"""The official openai package against a running gateway by Responses: whole, streamed, tools, errors.

usage: openai_responses.py BASE_URL CA_FILE KEY
"""

import json
import ssl
import sys

import openai

MODEL = "reasoner"
TOOLS = [
    {
        "type": "function",
        "name": "weather",
        "strict": False,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]


def whole(client):
    reply = client.responses.create(model=MODEL, input="hello", instructions="Be brief.")
    assert reply.output_text == "Olá, mundo", reply
    assert [item.type for item in reply.output] == ["reasoning", "message"], reply
    assert reply.output[0].content[0].text == "Thinking." and reply.usage.output_tokens == 7, reply


def streamed(client):
    with client.responses.stream(model=MODEL, input="hello") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text == "Olá, mundo", final


def tools(client):
    reply = client.responses.create(model=MODEL, input="use the tool", tools=TOOLS)
    call = reply.output[-1]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Porto"}), reply
    arguments = ""
    for event in client.responses.create(model=MODEL, input="use the tool", tools=TOOLS, stream=True):
        if event.type == "response.function_call_arguments.delta":
            arguments += event.delta
    assert json.loads(arguments) == {"city": "Porto"}, arguments
    items = [{"role": "user", "content": "use the tool"}]
    items += [item.model_dump(exclude_none=True) for item in reply.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "7 degrees"}]
    assert client.responses.create(model=MODEL, input=items, tools=TOOLS).output


def errors(client, stranger):
    cases = [
        (openai.AuthenticationError, lambda: stranger.responses.create(model=MODEL, input="hello")),
        (openai.BadRequestError, lambda: client.responses.create(model=MODEL, input="x", previous_response_id="r")),
        (openai.RateLimitError, lambda: client.responses.create(model=MODEL, input="limit me")),
    ]
    for kind, call in cases:
        try:
            call()
        except kind as error:
            assert isinstance(error.body, dict) and error.body["message"], error.body
        else:
            raise AssertionError(f"{kind.__name__} was expected")


def main(base_url, ca_file, key):
    trust = ssl.create_default_context(cafile=ca_file)

    def client(key):
        http = openai.DefaultHttpxClient(verify=trust)
        return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, http_client=http)

    known = client(key)
    whole(known)
    streamed(known)
    tools(known)
    errors(known, client("sk-nobody-knows-me-0"))
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
