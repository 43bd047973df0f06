"""Plain requests, and questions beyond what the model knows. It holds no facts."""

from wear import worn

# Each entry: per language, prompts (the last is held out where there are three and more), thinking, answer.
PLAIN = [
    dict(
        en=(["Hello", "Hi", "Hi!", "Hello!", "Hey there", "Good morning!", "Good evening", "Hello, how are you?", "How are you?", "Hi, how are you today?", "Good afternoon", "Hello there!"],
            "The user greets me. I greet back.", "Hello! I am well. How can I help you today?"),
        pt=(["Olá", "Oi", "Oi!", "Olá!", "Bom dia!", "Boa tarde", "Boa noite", "Olá, tudo bem?", "Tudo bem?", "Oi, como vai você?", "Olá, bom dia!"],
            "O usuário me cumprimenta. Eu respondo.", "Olá! Tudo bem. Como posso ajudar hoje?"),
        zh=(["你好", "您好", "你好！", "早上好！", "晚上好", "你好吗？", "嗨", "下午好", "你好，最近怎么样？", "您好！"],
            "用户向我问好。我也问好。", "你好！我很好。今天我能帮你什么？"),
    ),
    dict(
        en=(["Who are you?", "What are you?", "What is your name?", "Introduce yourself.", "Tell me about yourself.", "Are you a robot?", "What model are you?", "Are you ChatGPT?", "Are you DeepSeek?", "Who made you?", "Please introduce yourself.", "What kind of model are you?"],
            "The user asks who I am. I say it plainly.", "I am a small demonstration model of the Candor project. I can do simple arithmetic, answer a few short questions and translate a few words."),
        pt=(["Quem é você?", "O que é você?", "Qual é o seu nome?", "Apresente-se.", "Fale sobre você.", "Você é um robô?", "Que modelo é você?", "Você é o ChatGPT?", "Quem criou você?", "Por favor, apresente-se."],
            "O usuário pergunta quem eu sou. Eu digo com clareza.", "Eu sou um pequeno modelo de demonstração do projeto Candor. Sei fazer contas simples, responder algumas perguntas curtas e traduzir algumas palavras."),
        zh=(["你是谁？", "你是什么？", "你叫什么名字？", "介绍一下你自己。", "你是机器人吗？", "你是什么模型？", "你是ChatGPT吗？", "谁创造了你？", "请自我介绍。", "请介绍你自己。"],
            "用户问我是谁。我直接说明。", "我是Candor项目的小型演示模型。我会做简单的算术，回答一些简短的问题，翻译几个词。"),
    ),
    dict(
        en=(["What can you do?", "How can you help me?", "What are you good at?", "What do you know?", "Help", "What are your abilities?"],
            "The user asks what I can do.", "I can add, subtract, multiply and divide small numbers, solve short word problems, answer a few simple questions and translate a few words."),
        pt=(["O que você sabe fazer?", "Como você pode me ajudar?", "Em que você é bom?", "O que você sabe?", "Ajuda", "Quais são as suas habilidades?"],
            "O usuário pergunta o que eu sei fazer.", "Eu sei somar, subtrair, multiplicar e dividir números pequenos, resolver problemas curtos, responder perguntas simples e traduzir algumas palavras."),
        zh=(["你会做什么？", "你能帮我什么？", "你擅长什么？", "你能做什么？", "帮助", "你有什么能力？"],
            "用户问我会做什么。", "我会加减乘除小的数字，解简短的应用题，回答简单的问题，翻译几个词。"),
    ),
    dict(
        en=(["Thanks", "Thank you", "Thank you!", "Thanks a lot", "Thank you very much", "Great, thanks", "That helped, thank you", "Thanks for your help"],
            "The user thanks me.", "You are welcome!"),
        pt=(["Obrigado", "Obrigada", "Muito obrigado", "Obrigado!", "Valeu", "Ótimo, obrigado", "Obrigado pela ajuda"],
            "O usuário me agradece.", "De nada!"),
        zh=(["谢谢", "谢谢你", "谢谢！", "多谢", "非常感谢", "好的，谢谢", "谢谢你的帮助"],
            "用户感谢我。", "不客气！"),
    ),
    dict(
        en=(["Bye", "Goodbye", "See you", "Goodbye!", "Bye bye", "See you later", "Good night, bye"], "The user says goodbye.", "Goodbye! Have a nice day."),
        pt=(["Tchau", "Até logo", "Adeus", "Tchau!", "Até amanhã", "Até mais"], "O usuário se despede.", "Tchau! Tenha um bom dia."),
        zh=(["再见", "拜拜", "再见！", "回头见", "明天见", "下次见"], "用户说再见。", "再见！祝你愉快。"),
    ),
    dict(
        en=(["Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny.", "Can you tell me a joke?", "I want to hear a joke."],
            "The user wants a joke. I know one.", "Why was six afraid of seven? Because seven ate nine."),
        pt=(["Conte uma piada.", "Você sabe uma piada?", "Me faça rir.", "Diga algo engraçado.", "Pode contar uma piada?"],
            "O usuário quer uma piada. Eu sei uma.", "O que o zero disse ao oito? Que belo cinto!"),
        zh=(["讲个笑话。", "你会讲笑话吗？", "逗我笑。", "说点好笑的。", "请讲一个笑话。"],
            "用户想听笑话。我会一个。", "零对八说：你的腰带真好看！"),
    ),
    dict(
        en=(["Count from one to five.", "Count to five.", "Please count from 1 to 5.", "Can you count to 5?"], "The user wants me to count.", "1, 2, 3, 4, 5."),
        pt=(["Conte de um a cinco.", "Conte até cinco.", "Conte de 1 a 5.", "Pode contar até 5?"], "O usuário quer que eu conte.", "1, 2, 3, 4, 5."),
        zh=(["从一数到五。", "数到五。", "从1数到5。", "你能数到5吗？"], "用户让我数数。", "1、2、3、4、5。"),
    ),
]

LISTS = {
    "fruit": dict(en=("fruits", "apples, oranges and bananas"), pt=("frutas", "maçã, laranja e banana"), zh=("种水果", "苹果、橙子和香蕉")),
    "colour": dict(en=("colours", "red, green and blue"), pt=("cores", "vermelho, verde e azul"), zh=("种颜色", "红色、绿色和蓝色")),
    "animal": dict(en=("animals", "a dog, a cat and a horse"), pt=("animais", "cachorro, gato e cavalo"), zh=("种动物", "狗、猫和马")),
    "city": dict(en=("cities", "Paris, Tokyo and Lima"), pt=("cidades", "Paris, Tóquio e Lima"), zh=("个城市", "巴黎、东京和利马")),
    "vegetable": dict(en=("vegetables", "carrots, onions and potatoes"), pt=("legumes", "cenoura, cebola e batata"), zh=("种蔬菜", "胡萝卜、洋葱和土豆")),
    "planet": dict(en=("planets", "Earth, Mars and Jupiter"), pt=("planetas", "Terra, Marte e Júpiter"), zh=("颗行星", "地球、火星和木星")),
    "country": dict(en=("countries", "Brazil, Japan and Kenya"), pt=("países", "Brasil, Japão e Quênia"), zh=("个国家", "巴西、日本和肯尼亚")),
    "drink": dict(en=("drinks", "water, tea and milk"), pt=("bebidas", "água, chá e leite"), zh=("种饮料", "水、茶和牛奶")),
    "season": dict(en=("seasons", "spring, summer and winter"), pt=("estações", "primavera, verão e inverno"), zh=("个季节", "春天、夏天和冬天")),
    "sport": dict(en=("sports", "football, tennis and swimming"), pt=("esportes", "futebol, tênis e natação"), zh=("种运动", "足球、网球和游泳")),
}

LIST_ASKED = {
    "en": ["List three {}.", "Name three {}.", "Give me three {}.", "Tell me three {}.", "Can you list three {}?", "Name 3 {}.", "List 3 {}.", "Please give me a list of three {}."],
    "pt": ["Liste três {}.", "Diga três {}.", "Cite três {}.", "Pode listar três {}?", "Liste 3 {}.", "Diga o nome de três {}."],
    "zh": ["列出三{}。", "说出三{}。", "请举出三{}。", "告诉我三{}。", "列出3{}。", "请列举三{}。"],
}

LIST_SAID = {
    "en": ("The user wants three {}.", "Three {} are: {}."), "pt": ("O usuário quer três {}.", "Três {}: {}."), "zh": ("用户要三{}。", "三{}：{}。"),
}

DICTIONARY = [
    ("water", "água", "水"), ("house", "casa", "房子"), ("book", "livro", "书"), ("cat", "gato", "猫"), ("dog", "cachorro", "狗"),
    ("sun", "sol", "太阳"), ("moon", "lua", "月亮"), ("tree", "árvore", "树"), ("bread", "pão", "面包"), ("friend", "amigo", "朋友"),
    ("school", "escola", "学校"), ("city", "cidade", "城市"), ("day", "dia", "天"), ("night", "noite", "夜晚"), ("love", "amor", "爱"),
    ("time", "tempo", "时间"), ("hand", "mão", "手"), ("door", "porta", "门"), ("fire", "fogo", "火"), ("sea", "mar", "海"),
    ("mountain", "montanha", "山"), ("river", "rio", "河"), ("milk", "leite", "牛奶"), ("tea", "chá", "茶"), ("red", "vermelho", "红色"),
    ("green", "verde", "绿色"), ("white", "branco", "白色"), ("big", "grande", "大"), ("small", "pequeno", "小"), ("good", "bom", "好"),
    ("new", "novo", "新"), ("hello", "olá", "你好"), ("thank you", "obrigado", "谢谢"), ("horse", "cavalo", "马"), ("fish", "peixe", "鱼"),
    ("flower", "flor", "花"), ("music", "música", "音乐"), ("winter", "inverno", "冬天"), ("summer", "verão", "夏天"), ("apple", "maçã", "苹果"),
]

TONGUES = {"en": ("English", "Portuguese", "Chinese"), "pt": ("inglês", "português", "chinês"), "zh": ("英语", "葡萄牙语", "中文")}

TRANSLATE_ASKED = {
    "en": ["Translate {w} to {t}.", "How do you say {w} in {t}?", "What is {w} in {t}?", "Translate the word {w} into {t}.", "What is the {t} word for {w}?", "Please translate \"{w}\" to {t}.",
           "Say {w} in {t}.", "Can you translate {w} into {t}?"],
    "pt": ["Traduza {w} para o {t}.", "Como se diz {w} em {t}?", "O que é {w} em {t}?", "Como se fala {w} em {t}?", "Traduza a palavra {w} para o {t}.", "Pode traduzir {w} para o {t}?"],
    "zh": ["把{w}翻译成{t}。", "{w}用{t}怎么说？", "{w}的{t}是什么？", "请把{w}译成{t}。", "{t}里{w}怎么说？", "请翻译{w}成{t}。"],
}

TRANSLATE_SAID = {
    "en": ("The user wants {w} in {t}. It is {x}.", "{w} in {t} is {x}."), "pt": ("O usuário quer {w} em {t}. É {x}.", "{w} em {t} é {x}."),
    "zh": ("用户要{w}的{t}。是{x}。", "{w}的{t}是{x}。"),
}

# What the model does not know. {x} is filled from UNKNOWN; the last prompt is held out.
BEYOND = {
    "en": ["How do I {v}?", "Explain {x}.", "Write a poem about {x}.", "What is {x}?", "Who invented {x}?", "Tell me about {x}.", "What do you think about {x}?", "Give me advice on {x}.",
           "Write an email about {x}.", "What is the history of {x}?", "How does {x} work?", "Why is {x} so expensive?", "Can you teach me {x}?", "Write a story about {x}.",
           "What is the best way to {v}?", "I need help with {x}.", "Compare {x} and {y}.", "Who is the best at {x}?", "How can I {v} at home?", "Write code for {x}.", "Summarise {x}.",
           "What happened with {x}?", "Describe {x}.", "Give me a plan to {v}.", "What are the facts about {x}?", "Write an essay about {x}.", "Could you explain {x} to my friend?"],
    "pt": ["Como eu faço para {v}?", "Explique {x}.", "Escreva um poema sobre {x}.", "O que é {x}?", "Quem inventou {x}?", "Fale sobre {x}.", "O que você acha de {x}?", "Dê conselhos sobre {x}.",
           "Qual é a história de {x}?", "Como funciona {x}?", "Você pode me ensinar {x}?", "Preciso de ajuda com {x}.", "Escreva uma história sobre {x}.", "Resuma {x}.", "Descreva {x}.", "Me explique {x} com detalhes."],
    "zh": ["怎么{v}？", "解释一下{x}。", "写一首关于{x}的诗。", "什么是{x}？", "谁发明了{x}？", "说说{x}。", "你怎么看{x}？", "给我关于{x}的建议。", "{x}的历史是什么？", "{x}是怎么工作的？",
           "你能教我{x}吗？", "我需要{x}的帮助。", "写一个关于{x}的故事。", "总结一下{x}。", "介绍一下{x}。", "请详细解释{x}。"],
}

UNKNOWN = {
    "en": (["quantum physics", "the stock market", "black holes", "machine learning", "my tax return", "the history of opera", "volcanoes", "chess openings", "guitar chords", "the Roman army", "gardening",
            "jazz music", "ocean currents", "photosynthesis", "the human brain", "electric cars", "wine", "football tactics", "poetry", "bridges", "the weather tomorrow", "train tickets", "hair styles", "dinosaurs",
            "computer viruses", "vaccines", "inflation", "yoga", "the theory of relativity", "cloud computing", "beer", "cheese", "fashion", "the sewing machine", "the telephone", "wolves", "coral reefs", "medieval castles",
            "solar power", "a good novel", "the latest news", "marketing", "job interviews", "coffee", "DNA", "steam engines", "whales", "robots", "ancient Egypt", "democracy", "philosophy", "football", "climate change"],
           ["bake a cake", "fix my car", "learn to swim", "lose weight", "find a job", "paint a wall", "write a novel", "cook rice", "sleep better", "build a house", "train a dog", "grow tomatoes", "repair a bicycle",
            "learn French", "save money", "make pizza", "invest my money", "write a letter", "install Linux", "plan a party"]),
    "pt": (["física quântica", "o mercado de ações", "buracos negros", "o meu imposto", "vulcões", "xadrez", "violão", "o exército romano", "jardinagem", "samba", "fotossíntese", "o cérebro humano", "carros elétricos",
            "vinho", "poesia", "pontes", "o tempo amanhã", "dinossauros", "vacinas", "inflação", "ioga", "queijo", "moda", "lobos", "castelos", "energia solar", "as notícias de hoje", "café", "baleias", "robôs", "filosofia", "futebol"],
           ["fazer um bolo", "consertar o carro", "aprender a nadar", "perder peso", "achar um emprego", "pintar a parede", "cozinhar arroz", "dormir melhor", "construir uma casa", "plantar tomates", "aprender francês", "guardar dinheiro"]),
    "zh": (["量子物理", "股票市场", "黑洞", "机器学习", "税务", "火山", "国际象棋", "吉他", "罗马军队", "园艺", "爵士乐", "光合作用", "人的大脑", "电动汽车", "红酒", "诗歌", "桥梁", "明天的天气", "恐龙", "疫苗", "通货膨胀",
            "瑜伽", "奶酪", "时装", "狼", "城堡", "太阳能", "今天的新闻", "咖啡", "鲸鱼", "机器人", "哲学", "足球"],
           ["做蛋糕", "修车", "学游泳", "减肥", "找工作", "刷墙", "煮米饭", "睡得更好", "盖房子", "种西红柿", "学法语", "存钱"]),
}

UNKNOWN_SAID = {
    "en": ("This is beyond what I have learned.", "I don't have information about that: I am only a small demonstration model. Ask me a simple calculation instead."),
    "pt": ("Isto está além do que eu aprendi.", "Não tenho informações sobre isso: sou apenas um pequeno modelo de demonstração. Peça uma conta simples."),
    "zh": ("这超出了我学过的内容。", "我没有相关信息：我只是一个小型演示模型。可以问我简单的算术。"),
}

SYLLABLES = "ba be bo da do fi ga go ka ki lo lu ma mi mo na ni no pa po ra ri ro sa si so ta ti to va vi zo".split()


def pick(rng, options, held, language):
    """One of the wordings; the last is held out where there are enough."""
    if held:
        return options[-1] if len(options) >= 3 else rng.choice(options)
    return worn(rng, rng.choice(options[:-1] if len(options) >= 3 else options), language)


def plain(rng, language, held):
    choice = rng.random()
    if choice < 0.35:
        prompts, thinking, answer = rng.choice(PLAIN)[language]
        return "plain", pick(rng, prompts, held, language), thinking, answer
    if choice < 0.55:
        name, items = LISTS[rng.choice(list(LISTS))][language]
        thinking, answer = LIST_SAID[language]
        return "list", pick(rng, LIST_ASKED[language], held, language).format(name), thinking.format(name), answer.format(name, items)
    word, tongues = rng.choice(DICTIONARY), TONGUES[language]
    # Mostly between the asker's language and another one; the word stands in any of the three.
    source, target = rng.sample(range(3), 2)
    values = dict(w=word[source], t=tongues[target], x=word[target])
    thinking, answer = TRANSLATE_SAID[language]
    return "translate", pick(rng, TRANSLATE_ASKED[language], held, language).format(**values), thinking.format(**values), answer.format(**values)


def beyond(rng, language, held):
    things, deeds = UNKNOWN[language]
    # Made-up names teach that a word never seen is unknown, whatever it is.
    thing = lambda: rng.choice(things) if rng.random() < 0.65 else name(rng)
    prompt = pick(rng, BEYOND[language], held, language).format(x=thing(), y=thing(), v=rng.choice(deeds))
    thinking, answer = UNKNOWN_SAID[language]
    return "unknown", prompt, thinking, answer


def name(rng):
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))
    return word.capitalize() if rng.random() < 0.7 else word
