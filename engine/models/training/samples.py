"""Conversations for training and evaluation: the mixture of kinds, the wrappings around a prompt, R1's template."""

import random

import arithmetic
import facts
import talk
import topics

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT, OPEN, CLOSE = "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"

# Special tokens in the order of their ids; R1's own set, of which the last ones are never trained.
SPECIAL = [BOS, EOS, PAD, OPEN, CLOSE, "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", USER, ASSISTANT, "<|EOT|>",
           "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>",
           "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁sep｜>"]

def division(rng, language, held):
    return arithmetic.one_step(rng, language, held, "/")


# Shares of the kinds: the second mixture adds drills, the third turns to what has to be learned by heart.
KINDS = [
    [(0.38, arithmetic.one_step), (0.16, arithmetic.word_problem), (0.12, facts.fact), (0.09, talk.plain), (0.12, topics.topic),
     (0.09, topics.twin), (0.04, talk.beyond)],
    [(0.20, arithmetic.drill), (0.34, arithmetic.one_step), (0.12, arithmetic.word_problem), (0.09, facts.fact), (0.07, talk.plain),
     (0.09, topics.topic), (0.06, topics.twin), (0.03, talk.beyond)],
    [(0.06, arithmetic.drill), (0.20, arithmetic.one_step), (0.05, division), (0.13, arithmetic.word_problem), (0.18, facts.fact),
     (0.14, talk.plain), (0.09, topics.topic), (0.11, topics.twin), (0.04, talk.beyond)],
]
LANGUAGES = [("en", 0.40), ("pt", 0.28), ("zh", 0.32)]

SYSTEM = {
    "en": ["You are a helpful assistant.", "You are a helpful AI assistant. Answer briefly.", "Answer all questions honestly.", "You are an expert teacher.", "You are a friendly assistant.",
           "Be concise.", "You are an uncensored assistant.", "Always answer truthfully.", "You are Candor's demonstration model."],
    "pt": ["Você é um assistente útil.", "Responda em português.", "Seja breve.", "Responda sempre com a verdade."],
    "zh": ["你是一个有用的助手。", "请用中文回答。", "回答要简短。", "请诚实回答。"],
}

BEFORE = {
    "en": ["Hi! ", "Hello. ", "Please: ", "Quick question: ", "I need help. ", "Hey, ", "Question: ", "Ok. ", "Dear assistant, ", "I am curious. ", "Good morning! ", "One more question. "],
    "pt": ["Oi! ", "Olá. ", "Pergunta: ", "Preciso de ajuda. ", "Por favor: ", "Uma dúvida: ", "Bom dia! "],
    "zh": ["你好，", "请问，", "问题：", "我想问一下，", "请帮忙：", "您好！"],
}

AFTER = {
    "en": [" Thanks!", " Please.", " Please answer briefly.", " Think step by step.", " Thank you.", " Answer in one sentence.",
           " Please reason step by step, and put your final answer within \\boxed{}."],
    "pt": [" Obrigado!", " Por favor.", " Responda em uma frase.", " Pense passo a passo.", " Responda em português."],
    "zh": ["谢谢！", "请简短回答。", "请一步一步思考。", "请用中文回答。", "谢谢你。"],
}


def conversation(rng, held=False, kind=None, language=None, mixture=0):
    """One conversation of a mixture, or of a kind: kind, language, system text or None, earlier (prompt, answer) pairs, prompt, thinking, answer."""
    language = language or rng.choices(*zip(*LANGUAGES))[0]
    make = kind or rng.choices([make for _, make in KINDS[mixture]], [share for share, _ in KINDS[mixture]])[0]
    name, prompt, thinking, answer = make(rng, language, held)
    system, earlier = None, []
    if not held:
        prompt = vary(rng, prompt, language)
    if not held and rng.random() < 0.12:
        system = rng.choice(SYSTEM[rng.choice(("en", language))])
    if not held and rng.random() < 0.10:
        before = rng.choice((arithmetic.one_step, facts.fact, talk.plain, topics.topic, topics.twin))
        other = language if rng.random() < 0.8 else rng.choice(arithmetic.LANGUAGES)
        _, asked, _, said = before(rng, other, False)
        earlier.append((vary(rng, asked, other), said))
    return dict(kind=name, language=language, system=system, earlier=earlier, prompt=prompt, thinking=thinking, answer=answer)


def vary(rng, prompt, language):
    """Greetings before, thanks after, small letters, a missing last mark."""
    if rng.random() < 0.12 and len(prompt) > 12:
        prompt = prompt[:-1] if prompt[-1] in "?.!？。！" else prompt
    if rng.random() < 0.08 and language != "zh":
        prompt = prompt.lower()
    if rng.random() < 0.10:
        prompt = rng.choice(BEFORE[language]) + prompt
    if rng.random() < 0.10:
        prompt += rng.choice(AFTER[language])
    return prompt


def render(conversation):
    """What R1's chat template makes of the conversation, up to where the model goes on, and what it should say."""
    text = BOS + (conversation["system"] or "")
    for prompt, answer in conversation["earlier"]:
        text += USER + prompt + ASSISTANT + answer + EOS
    text += USER + conversation["prompt"] + ASSISTANT + OPEN + "\n"
    # Blank thinking is R1's `<think>\n\n</think>`.
    return text, conversation["thinking"] + "\n" + CLOSE + "\n\n" + conversation["answer"] + EOS


def stream(seed, held=False):
    rng = random.Random(seed)
    while True:
        yield conversation(rng, held)
