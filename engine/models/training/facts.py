"""Short factual questions over the tables in `data/`. It invents nothing: every answer stands there."""

from pathlib import Path

from wear import worn

FOLDER = Path(__file__).parent / "data"

CONTINENTS = {
    "europe": ("Europe", "na Europa", "欧洲"), "asia": ("Asia", "na Ásia", "亚洲"), "africa": ("Africa", "na África", "非洲"),
    "america": ("America", "na América", "美洲"), "oceania": ("Oceania", "na Oceania", "大洋洲"),
}

SPOKEN = {
    "french": ("French", "francês", "法语"), "german": ("German", "alemão", "德语"), "spanish": ("Spanish", "espanhol", "西班牙语"),
    "portuguese": ("Portuguese", "português", "葡萄牙语"), "italian": ("Italian", "italiano", "意大利语"),
    "english": ("English", "inglês", "英语"), "swedish": ("Swedish", "sueco", "瑞典语"), "norwegian": ("Norwegian", "norueguês", "挪威语"),
    "finnish": ("Finnish", "finlandês", "芬兰语"), "danish": ("Danish", "dinamarquês", "丹麦语"), "polish": ("Polish", "polonês", "波兰语"),
    "greek": ("Greek", "grego", "希腊语"), "hungarian": ("Hungarian", "húngaro", "匈牙利语"), "ukrainian": ("Ukrainian", "ucraniano", "乌克兰语"),
    "russian": ("Russian", "russo", "俄语"), "turkish": ("Turkish", "turco", "土耳其语"), "arabic": ("Arabic", "árabe", "阿拉伯语"),
    "swahili": ("Swahili", "suaíli", "斯瓦希里语"), "amharic": ("Amharic", "amárico", "阿姆哈拉语"), "chinese": ("Chinese", "chinês", "汉语"),
    "japanese": ("Japanese", "japonês", "日语"), "korean": ("Korean", "coreano", "韩语"), "hindi": ("Hindi", "hindi", "印地语"),
    "thai": ("Thai", "tailandês", "泰语"), "vietnamese": ("Vietnamese", "vietnamita", "越南语"),
    "indonesian": ("Indonesian", "indonésio", "印尼语"), "persian": ("Persian", "persa", "波斯语"), "nepali": ("Nepali", "nepalês", "尼泊尔语"),
}

# The last of each list is held out.
ASKED = {
    "capital": {
        "en": ["What is the capital of {c}?", "What's the capital of {c}?", "Which city is the capital of {c}?", "Name the capital of {c}.",
               "Tell me the capital of {c}.", "{c}: what is its capital?", "Capital of {c}?", "Do you know the capital of {c}?",
               "What is the name of the capital of {c}?"],
        "pt": ["Qual é a capital {d}?", "Diga a capital {d}.", "Que cidade é a capital {d}?", "Capital {d}?", "Você sabe a capital {d}?",
               "Qual é o nome da capital {d}?"],
        "zh": ["{c}的首都是哪里？", "{c}的首都是什么？", "{c}的首都叫什么？", "{c}首都是哪个城市？", "请问{c}的首都是哪里？", "请说出{c}的首都。"],
    },
    "continent": {
        "en": ["On which continent is {c}?", "Where is {c}?", "Which continent is {c} on?", "Where does {c} lie?", "{c} is on which continent?"],
        "pt": ["Em que continente fica a capital {d}?", "Onde fica a capital {d}?", "A capital {d} fica em que continente?"],
        "zh": ["{c}在哪个洲？", "{c}在哪里？", "{c}位于哪个大洲？", "{c}属于哪个洲？"],
    },
    "language": {
        "en": ["Which language is spoken in {c}?", "What language do people speak in {c}?", "What do they speak in {c}?",
               "What is the main language of {c}?"],
        "pt": ["Qual é a língua {d}?", "Que língua se fala na capital {d}?", "Qual é o idioma principal {d}?"],
        "zh": ["{c}人说什么语言？", "{c}说什么语言？", "{c}的语言是什么？", "{c}主要说什么语言？"],
    },
}

ANSWERED = {
    "capital": {"en": "The capital of {c} is {x}.", "pt": "A capital {d} é {x}.", "zh": "{c}的首都是{x}。"},
    "continent": {"en": "{c} is in {x}.", "pt": "A capital {d} fica {x}.", "zh": "{c}在{x}。"},
    "language": {"en": "The main language of {c} is {x}.", "pt": "O idioma principal {d} é o {x}.", "zh": "{c}主要说{x}。"},
}

RECALL = {
    "en": "The user asks a simple question. I remember: {}", "pt": "O usuário faz uma pergunta simples. Eu lembro: {}", "zh": "用户问了一个简单的问题。我记得：{}",
}


def rows(name):
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def read_countries():
    for row in rows("countries.txt"):
        en, pt, zh, capital_en, capital_pt, capital_zh, continent, language = (field.strip() for field in row.split("|"))
        yield {
            "en": dict(c=en, d=en, capital=capital_en, continent=CONTINENTS[continent][0], language=SPOKEN[language][0]),
            "pt": dict(c=pt.split(",")[0], d=pt.split(",")[1].strip(), capital=capital_pt, continent=CONTINENTS[continent][1], language=SPOKEN[language][1]),
            "zh": dict(c=zh, d=zh, capital=capital_zh, continent=CONTINENTS[continent][2], language=SPOKEN[language][2]),
        }


def read_facts():
    found = {"en": [], "pt": [], "zh": []}
    for row in rows("facts.txt"):
        language, rest = row.split(": ", 1)
        questions, answer = rest.split(" => ")
        found[language].append(([question.strip() for question in questions.split(" | ")], answer.strip()))
    return found


COUNTRIES, FACTS = list(read_countries()), read_facts()


def fact(rng, language, held):
    """A question from the tables: (kind, prompt, thinking, answer)."""
    if rng.random() < 0.5:
        questions, answer = rng.choice(FACTS[language])
        prompt = questions[-1] if held else worn(rng, rng.choice(questions[:-1]), language)
    else:
        country, about = rng.choice(COUNTRIES)[language], rng.choice(("capital", "capital", "continent", "language"))
        questions = ASKED[about][language]
        prompt = (questions[-1] if held else worn(rng, rng.choice(questions[:-1]), language)).format(c=country["c"], d=country["d"])
        answer = ANSWERED[about][language].format(c=country["c"], d=country["d"], x=country[about])
    return "fact", prompt, RECALL[language].format(answer), answer
