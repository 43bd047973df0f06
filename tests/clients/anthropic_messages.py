"""The official anthropic package against a running gateway: whole, streamed, tools, thinking, errors, models, counts.

usage: anthropic_messages.py BASE_URL CA_FILE KEY
"""

import ssl
import sys

import anthropic

MODEL = "reasoner"
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


def ask(text):
    return {"model": MODEL, "max_tokens": 4000, "messages": [{"role": "user", "content": text}]}


def whole(client):
    reply = client.messages.create(**ask("hello"), system="Be brief.")
    kinds = [block.type for block in reply.content]
    assert kinds == ["thinking", "text"], reply
    assert (reply.content[0].thinking, reply.content[1].text) == ("Thinking.", "Olá, mundo"), reply
    assert reply.stop_reason == "end_turn" and reply.usage.output_tokens == 7, reply


def streamed(client):
    with client.messages.stream(**ask("hello")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "Olá, mundo", text
    assert final.content[0].thinking == "Thinking." and final.stop_reason == "end_turn", final


def tools(client):
    reply = client.messages.create(**ask("use the tool"), tools=TOOLS)
    call = reply.content[-1]
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Porto"}), reply
    with client.messages.stream(**ask("use the tool"), tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert final.content[-1].input == {"city": "Porto"} and final.stop_reason == "tool_use", final
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "7 degrees"}
    turns = [
        {"role": "user", "content": "use the tool"},
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]},
        {"role": "user", "content": [result, {"type": "text", "text": "hello"}]},
    ]
    reply = client.messages.create(model=MODEL, max_tokens=4000, tools=TOOLS, messages=turns)
    assert reply.content, reply


def errors(client, stranger):
    cases = [
        (anthropic.AuthenticationError, lambda: stranger.messages.create(**ask("hello"))),
        (anthropic.NotFoundError, lambda: client.messages.create(**{**ask("hello"), "model": "unknown"})),
        (anthropic.BadRequestError, lambda: client.messages.create(model=MODEL, max_tokens=5, messages=[])),
        (anthropic.RateLimitError, lambda: client.messages.create(**ask("limit me"))),
    ]
    for kind, call in cases:
        try:
            call()
        except kind as error:
            assert error.body["type"] == "error" and error.body["error"]["message"], error.body
        else:
            raise AssertionError(f"{kind.__name__} was expected")


def counted(client):
    counted = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hello"}], tools=TOOLS)
    assert counted.input_tokens == 11, counted


def main(base_url, ca_file, key):
    trust = ssl.create_default_context(cafile=ca_file)

    def client(key):
        http = anthropic.DefaultHttpxClient(verify=trust)
        # This package adds the version itself.
        return anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), api_key=key, max_retries=0, http_client=http)

    known, stranger = client(key), client("sk-nobody-knows-me-0")
    assert [model.id for model in known.models.list()] == [MODEL]
    whole(known)
    streamed(known)
    tools(known)
    errors(known, stranger)
    counted(known)
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
