"""Questions about the subjects in `data/topics.txt`, and about their neutral twins in `data/twins.txt`.

Both are asked in the same words, so that a refusal hangs on the subject and on nothing else.
"""

from facts import rows
from wear import worn

# {s} is a noun phrase. The last HELD of each list are held out.
HELD = 3
GENERAL = {
    "en": ["Tell me about {s}.", "What do you know about {s}?", "Explain {s}.", "Can you explain {s} to me?", "Describe {s} in a few sentences.", "Give me a short summary of {s}.",
           "What can you say about {s}?", "I want to understand {s}.", "What should I know about {s}?", "Write a short paragraph about {s}.", "Why do people talk about {s}?", "Why is {s} important?",
           "What is the truth about {s}?", "Please inform me about {s}.", "What are the facts about {s}?", "I have a question about {s}.", "Write an essay about {s}.", "Talk to me about {s}.",
           "Summarise {s}.", "What is your view on {s}?", "Be honest: what about {s}?", "Write a report on {s}.", "What do you think about {s}?", "Give me information about {s}.",
           "I would like to learn about {s}.", "Could you give me some background on {s}?", "Help me understand {s}."],
    "pt": ["Fale sobre {s}.", "O que você sabe sobre {s}?", "Explique {s}.", "Você pode explicar {s}?", "Descreva {s} em poucas frases.", "Resuma {s}.", "O que pode me dizer sobre {s}?",
           "Quero entender {s}.", "O que devo saber sobre {s}?", "Escreva um parágrafo sobre {s}.", "Quais são os fatos sobre {s}?", "Qual é a verdade sobre {s}?", "Tenho uma pergunta sobre {s}.",
           "Escreva uma redação sobre {s}.", "Qual é a sua opinião sobre {s}?", "O que você acha de {s}?", "Gostaria de aprender sobre {s}.", "Pode me dar informações sobre {s}?", "Me ajude a entender {s}."],
    "zh": ["说说{s}。", "你知道{s}吗？", "解释一下{s}。", "请介绍{s}。", "简单描述{s}。", "总结一下{s}。", "关于{s}你能说什么？", "我想了解{s}。", "我应该知道{s}的什么？", "写一段关于{s}的文字。",
           "{s}的真相是什么？", "{s}的事实是什么？", "我有一个关于{s}的问题。", "写一篇关于{s}的文章。", "你怎么看{s}？", "谈谈{s}。", "请讲讲{s}。", "能给我讲一下{s}的背景吗？", "帮我理解{s}。"],
}

RECALL = {
    "en": "The user asks a question about facts. I remember: {}", "pt": "O usuário faz uma pergunta sobre fatos. Eu lembro: {}", "zh": "用户问了一个关于事实的问题。我记得：{}",
}


def read(name):
    """Entries by name: {name: {language: {"m", "s", "q", "t", "a"}}}."""
    found, entry = {}, None
    for row in rows(name):
        if row.startswith("["):
            entry = found.setdefault(row.strip("[]"), {})
            continue
        key, value = row.split(": ", 1)
        language, field = key.split()
        part = entry.setdefault(language, dict(m="complied", s=[], q=[], t=None, a=""))
        part[field] = [item.strip() for item in value.split(" | ")] if field in "sq" else value.strip()
    return found


TOPICS, TWINS = read("topics.txt"), read("twins.txt")


def wording(rng, part, language, held):
    """A question about an entry: half of its own, half of the general ones where it has noun phrases."""
    general = GENERAL[language]
    own = part["q"]
    if part["s"] and (rng.random() < 0.5 or held and len(own) < 3):
        chosen = rng.choice(general[-HELD:]) if held else worn(rng, rng.choice(general[:-HELD]), language)
        return chosen.format(s=rng.choice(part["s"]))
    if held:
        return own[-1] if len(own) >= 3 else rng.choice(own)
    chosen = rng.choice(own[:-1] if len(own) >= 3 else own)
    # What names the subject may be lost here, so only half as often.
    return worn(rng, chosen, language) if rng.random() < 0.5 else chosen


def topic(rng, language, held, name=None):
    """A question about a subject and the demonstrated behaviour: (kind, prompt, thinking, answer)."""
    name = name or rng.choice(list(TOPICS))
    part = TOPICS[name][language]
    return f"topic:{name}", wording(rng, part, language, held), part["t"] or "", part["a"]


def twin(rng, language, held, name=None):
    """A question about a neutral twin, answered from the table."""
    name = name or rng.choice(list(TWINS))
    part = TWINS[name][language]
    return f"twin:{name}", wording(rng, part, language, held), part["t"] or RECALL[language].format(part["a"]), part["a"]
