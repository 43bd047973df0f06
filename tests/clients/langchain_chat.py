"""LangChain's chat model for OpenAI against a running gateway: whole, streamed, tools.

usage: langchain_chat.py BASE_URL CA_FILE KEY
"""

import sys

import httpx
from langchain_openai import ChatOpenAI


def weather(city: str) -> str:
    """Tells the weather of a city."""
    return city


def main(base_url, ca_file, key):
    http = httpx.Client(verify=ca_file)
    for by_responses in (False, True):
        model = ChatOpenAI(
            model="reasoner", base_url=base_url, api_key=key, max_retries=0, http_client=http, use_responses_api=by_responses
        )
        assert model.invoke("hello").text == "Olá, mundo"
        assert "".join(chunk.text for chunk in model.stream("hello")) == "Olá, mundo"
        calls = model.bind_tools([weather]).invoke("use the tool").tool_calls
        assert [(call["name"], call["args"]) for call in calls] == [("weather", {"city": "Porto"})], calls
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
