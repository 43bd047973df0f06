"""litellm as a client of a running gateway: whole, streamed, tools, by Chat Completions and by Messages.

usage: litellm_client.py BASE_URL CA_FILE KEY
"""

import json
import os
import sys

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def main(base_url, ca_file, key):
    # It reads both when it is imported.
    os.environ["SSL_CERT_FILE"] = ca_file
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    for model, base in (("openai/reasoner", base_url), ("anthropic/reasoner", base_url.removesuffix("/v1"))):
        common = {"model": model, "api_base": base, "api_key": key, "max_retries": 0}

        def ask(text, **more):
            return litellm.completion(messages=[{"role": "user", "content": text}], **common, **more)

        message = ask("hello").choices[0].message
        assert (message.content, message.reasoning_content) == ("Olá, mundo", "Thinking."), message
        text = "".join(chunk.choices[0].delta.content or "" for chunk in ask("hello", stream=True))
        assert text == "Olá, mundo", text
        call = ask("use the tool", tools=TOOLS).choices[0].message.tool_calls[0].function
        assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Porto"}), call
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
