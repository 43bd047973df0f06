"""Arithmetic and word problems with their reasoning, column by column. It knows no wording of other kinds."""

import zlib

LANGUAGES = ("en", "pt", "zh")

COLUMNS = {
    "en": ("Ones", "Tens", "Hundreds", "Thousands"),
    "pt": ("Unidades", "Dezenas", "Centenas", "Milhares"),
    "zh": ("个位", "十位", "百位", "千位"),
}

WORDS = {
    "en": dict(
        colon=": ", stop=".", carry=", carry 1", borrow=", borrow 1",
        need="I need {a}{o}{b}.", less="{a} is less than {b}, so the result is negative: {b}-{a}.",
        sum="The sum is {c}.", difference="The difference is {c}.", product="The product is {c}.",
        table="From the times table: {a}*{b}={c}.", split="Split {a}={t}+{o}.", together="Together {x}+{y}={c}.",
        quotient="{b}*{c}={a}, so {a}/{b}={c}.", check="Let me verify: {}. Correct.",
        start="{n} starts with {a} {i}.", groups="{n} has {g} times {a} {i}.", step="Step {k}: {e}.", so="So {e}.",
        have="{n} has \\boxed{{{c}}} {i} now.",
    ),
    "pt": dict(
        colon=": ", stop=".", carry=", vai 1", borrow=", empresto 1",
        need="Preciso de {a}{o}{b}.", less="{a} é menor que {b}, então o resultado é negativo: {b}-{a}.",
        sum="A soma é {c}.", difference="A diferença é {c}.", product="O produto é {c}.",
        table="Da tabuada: {a}*{b}={c}.", split="Separo {a}={t}+{o}.", together="Juntos {x}+{y}={c}.",
        quotient="{b}*{c}={a}, então {a}/{b}={c}.", check="Vou verificar: {}. Certo.",
        start="{n} começa com {a} {i}.", groups="{n} tem {g} vezes {a} {i}.", step="Passo {k}: {e}.", so="Então {e}.",
        have="{n} tem \\boxed{{{c}}} {i} agora.",
    ),
    "zh": dict(
        colon="：", stop="。", carry="，进1", borrow="，借1",
        need="需要计算{a}{o}{b}。", less="{a}小于{b}，结果是负数：{b}-{a}。",
        sum="和是{c}。", difference="差是{c}。", product="积是{c}。",
        table="根据乘法表：{a}*{b}={c}。", split="分开{a}={t}+{o}。", together="合起来{x}+{y}={c}。",
        quotient="{b}*{c}={a}，所以{a}/{b}={c}。", check="让我验证一下：{}。正确。",
        start="{n}开始有{a}{i}。", groups="{n}有{g}份，每份{a}{i}。", step="第{k}步：{e}。", so="所以{e}。",
        have="{n}现在有\\boxed{{{c}}}{i}。",
    ),
}

# {e} is the expression. The last two of each list are held out.
EXPRESSION = {
    "en": ["What is {e}?", "What's {e}?", "{e} = ?", "{e}", "Calculate {e}.", "Compute {e}.", "How much is {e}?", "Solve {e}.",
           "Please work out {e}.", "{e}=", "Can you calculate {e}?", "What does {e} equal?", "Tell me the result of {e}.",
           "Evaluate {e}.", "I need the answer to {e}.", "Could you compute {e} for me?", "Find {e}.", "What do I get for {e}?",
           "Please tell me what {e} is.", "Can you solve {e}?"],
    "pt": ["Quanto é {e}?", "{e} = ?", "{e}", "Calcule {e}.", "Qual é o resultado de {e}?", "Quanto dá {e}?", "Resolva {e}.",
           "Por favor, calcule {e}.", "{e}=", "Você pode calcular {e}?", "Me diga quanto é {e}.", "Faça a conta {e}.",
           "Preciso do resultado de {e}.", "Quanto vale {e}?", "Pode resolver {e}?", "Diga o valor de {e}."],
    "zh": ["{e}等于多少？", "{e}=?", "{e}", "计算{e}。", "请计算{e}。", "{e}是多少？", "{e}的结果是什么？", "帮我算一下{e}。", "{e}=",
           "{e}等于几？", "请问{e}等于多少？", "你能算{e}吗？", "求{e}。", "算一算{e}。", "请告诉我{e}是多少。", "我想知道{e}等于多少。"],
}

WORDED = {
    "en": {
        "+": ["{a} plus {b}", "the sum of {a} and {b}", "{a} added to {b}"],
        "-": ["{a} minus {b}", "the difference between {a} and {b}", "{b} subtracted from {a}"],
        "*": ["{a} times {b}", "the product of {a} and {b}", "{a} multiplied by {b}"],
        "/": ["{a} divided by {b}"],
    },
    "pt": {
        "+": ["{a} mais {b}", "a soma de {a} e {b}"], "-": ["{a} menos {b}", "a diferença entre {a} e {b}"],
        "*": ["{a} vezes {b}", "o produto de {a} e {b}"], "/": ["{a} dividido por {b}"],
    },
    "zh": {
        "+": ["{a}加{b}", "{a}与{b}的和"], "-": ["{a}减{b}", "{a}减去{b}"], "*": ["{a}乘{b}", "{a}乘以{b}"], "/": ["{a}除以{b}"],
    },
}

SIGNS = {"+": ["+", " + "], "-": ["-", " - ", " − "], "*": ["*", " * ", "×", " × ", " x "], "/": ["/", " / ", "÷", " ÷ "]}
SHOWN = {"+": "+", "-": "-", "*": "×", "/": "÷"}

NAMES = {
    "en": ["Ana", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Ivy", "Jack", "Kate", "Leo", "Maria", "Nina", "Oscar",
           "Paul", "Rosa", "Sam", "Tom", "Zoe"],
    "pt": ["Ana", "Bruno", "Carla", "Daniel", "Elisa", "Felipe", "Helena", "Igor", "João", "Lucas", "Maria", "Paulo", "Rita", "Sofia",
           "Tiago", "Pedro"],
    "zh": ["小明", "小红", "小华", "小李", "小王", "小张", "小丽", "小刚", "老师", "妈妈", "爸爸", "安娜", "弟弟", "姐姐"],
}

ITEMS = {
    "en": ["apples", "books", "pens", "coins", "stamps", "eggs", "oranges", "marbles", "cards", "flowers", "cookies", "shells", "toys",
           "stickers", "bananas", "pencils"],
    "pt": ["maçãs", "livros", "canetas", "moedas", "selos", "ovos", "laranjas", "bolas", "cartas", "flores", "biscoitos", "lápis",
           "brinquedos", "bananas"],
    "zh": ["个苹果", "本书", "支笔", "枚硬币", "张邮票", "个鸡蛋", "个橙子", "颗糖", "张卡片", "朵花", "块饼干", "个玩具", "支铅笔", "个球"],
}

STORY = {
    "en": dict(
        start=["{n} has {a} {i}.", "{n} starts with {a} {i}.", "There are {a} {i} in the bag of {n}.", "{n} owns {a} {i}."],
        groups=["{n} has {g} boxes with {a} {i} each.", "{n} buys {g} bags of {a} {i} each.", "{n} has {g} boxes. Each box holds {a} {i}."],
        add=["{n} buys {b} more.", "{n} finds {b} more.", "A friend gives {n} {b} more.", "Then {n} gets {b} more.", "{n} wins another {b}."],
        sub=["{n} gives away {b}.", "{n} loses {b}.", "{n} sells {b}.", "Then {n} gives {b} to a friend.", "{b} of them are taken away."],
        ask=["How many {i} does {n} have now?", "How many {i} are there now?", "How many {i} does {n} have in the end?",
             "How many {i} are left?"],
        space=" ",
    ),
    "pt": dict(
        start=["{n} tem {a} {i}.", "{n} começa com {a} {i}.", "Há {a} {i} na caixa de {n}."],
        groups=["{n} tem {g} caixas com {a} {i} cada.", "{n} compra {g} sacos de {a} {i} cada."],
        add=["{n} compra mais {b}.", "{n} encontra mais {b}.", "Um amigo dá mais {b} a {n}.", "Depois {n} ganha mais {b}."],
        sub=["{n} dá {b} a um amigo.", "{n} perde {b}.", "{n} vende {b}.", "Depois {n} entrega {b}."],
        ask=["Com quantas unidades {n} fica?", "{n} tem agora que número de {i}?", "Qual é o total de {i} agora?", "No fim, qual é o número de {i}?"],
        space=" ",
    ),
    "zh": dict(
        start=["{n}有{a}{i}。", "{n}一开始有{a}{i}。", "{n}的袋子里有{a}{i}。"],
        groups=["{n}有{g}个盒子，每个盒子里有{a}{i}。", "{n}买了{g}袋，每袋有{a}{i}。"],
        add=["又买了{b}个。", "又找到{b}个。", "朋友又给了{n}{b}个。", "后来又得到{b}个。"],
        sub=["送给朋友{b}个。", "丢了{b}个。", "卖掉了{b}个。", "后来拿走了{b}个。"],
        ask=["{n}现在一共有多少？", "现在有多少？", "最后{n}有多少？", "现在总数是多少？"],
        space="",
    ),
}


def held_out(*parts):
    """Whether a problem belongs to the evaluation: one in twelve, by its numbers alone."""
    return zlib.crc32(":".join(map(str, parts)).encode()) % 12 == 0


def columns(a, b, operator, language):
    """The lines of a written addition or subtraction of non-negative numbers, and the result."""
    words, names = WORDS[language], COLUMNS[language]
    lines, carry = [], 0
    top, bottom = str(a)[::-1], str(b)[::-1]
    count = max(len(top), len(bottom))
    for column in range(count):
        x = int(top[column]) if column < len(top) else None
        y = int(bottom[column]) if column < len(bottom) else None
        head = names[column] + words["colon"]
        terms = [digit for digit in (x, y, carry or None) if digit is not None]
        if operator == "+":
            value, mark = sum(terms), words["carry"]
            carry = 0 if column == count - 1 else value // 10
        else:
            value, mark = x - (y or 0) - carry, words["borrow"]
            carry = int(value < 0)
            # What is borrowed stands before the digit.
            terms[0], value = terms[0] + 10 * carry, value + 10 * carry
        shown = operator.join(map(str, terms)) + (f"={value}" if len(terms) > 1 else "")
        lines.append(names[column] + words["colon"] + shown + (mark if carry else "") + words["stop"])
    return lines, a + b if operator == "+" else a - b


def product(a, b, language):
    """The lines of a product of which the table holds both numbers, or of two digits by one."""
    words, c = WORDS[language], a * b
    if a <= 12 and b <= 12:
        return [words["table"].format(a=a, b=b, c=c)], c
    if a < b:
        a, b = b, a
    tens, ones = a // 10 * 10, a % 10
    if ones == 0:
        return [f"{a // 10}*{b}={a // 10 * b}, {a}*{b}={c}" + words["stop"]], c
    lines = [words["split"].format(a=a, t=tens, o=ones), f"{tens}*{b}={tens * b}" + words["stop"], f"{ones}*{b}={ones * b}" + words["stop"]]
    more, _ = columns(tens * b, ones * b, "+", language)
    return lines + more + [words["together"].format(x=tens * b, y=ones * b, c=c)], c


def reason(a, b, operator, language):
    """The reasoning about one operation, without its check, and the result."""
    words = WORDS[language]
    if operator == "+":
        lines, c = columns(a, b, "+", language)
        return [words["need"].format(a=a, b=b, o="+"), *lines, words["sum"].format(c=c)], c
    if operator == "-":
        lines, _ = columns(max(a, b), min(a, b), "-", language)
        first = [words["need"].format(a=a, b=b, o="-")] + ([words["less"].format(a=a, b=b)] if a < b else [])
        return [*first, *lines, words["difference"].format(c=a - b)], a - b
    if operator == "*":
        lines, c = product(a, b, language)
        return [words["need"].format(a=a, b=b, o="*"), *lines, words["product"].format(c=c)], c
    c = a // b
    return [words["need"].format(a=a, b=b, o="/"), words["quotient"].format(a=a, b=b, c=c)], c


def check(a, b, operator, c):
    """The inverse operation, as an equation."""
    return {"+": f"{c}-{b}={a}", "-": f"{c}+{b}={a}", "*": f"{c}/{b}={a}", "/": f"{c}*{b}={a}"}[operator]


def numbers(rng, operator):
    """Two operands, of one to three digits; products of the table or of two digits by one; exact quotients."""
    digits = lambda: rng.choice([(0, 9), (10, 99), (10, 99), (100, 999), (100, 999)])
    if operator == "+":
        return rng.randint(*digits()), rng.randint(*digits())
    if operator == "-":
        a, b = rng.randint(*digits()), rng.randint(*digits())
        return (a, b) if a >= b or rng.random() < 0.15 else (b, a)
    if operator == "*":
        a, b = (rng.randint(2, 12), rng.randint(2, 12)) if rng.random() < 0.5 else (rng.randint(13, 99), rng.randint(2, 9))
        return (a, b) if rng.random() < 0.7 else (b, a)
    b, c = rng.randint(2, 12), rng.randint(2, 12)
    return b * c, b


def in_table(a, b, operator):
    return operator == "/" or operator == "*" and a <= 12 and b <= 12


def one_step(rng, language, held, operator=None):
    """One problem: (kind, prompt, thinking, answer). Of the multiplication table only wordings are held out."""
    while True:
        op = operator or rng.choice("++++---**/")
        a, b = numbers(rng, op)
        if in_table(a, b, op) or held_out(a, op, b) == held:
            break
    if rng.random() < 0.25:
        expression = rng.choice(WORDED[language][op]).format(a=a, b=b)
    else:
        expression = f"{a}{rng.choice(SIGNS[op])}{b}"
    asked = EXPRESSION[language]
    prompt = rng.choice(asked[-2:] if held else asked[:-2]).format(e=expression)
    lines, c = reason(a, b, op, language)
    lines.append(WORDS[language]["check"].format(check(a, b, op, c)))
    kind = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}[op]
    return kind, prompt, "\n".join(lines), f"{a} {SHOWN[op]} {b} = \\boxed{{{c}}}"


DRILL = {
    "en": ["Compute {e}.", "{e}", "Work out these: {e}.", "What are {e}?", "Give me {e}.", "Solve {e}."],
    "pt": ["Calcule {e}.", "{e}", "Resolva estas: {e}.", "Quanto dão {e}?", "Faça {e}."],
    "zh": ["计算{e}。", "{e}", "算一算{e}。", "请算{e}。", "求{e}。"],
}


def drill(rng, language, held):
    """Several small calculations at once: they hold the tables that longer ones are worked out with. No pair is held out."""
    parts, results = [], []
    for _ in range(rng.randint(2, 9)):
        operator = rng.choice("+++--*")
        if operator == "*":
            a, b = rng.randint(2, 12), rng.randint(2, 12)
            parts.append(f"{a}*{b}")
            results.append(a * b)
            continue
        digits = [rng.randint(0, 9), rng.randint(0, 9)] + ([1] if rng.random() < 0.35 else [])
        if operator == "-":
            digits[0] += 10 if digits[0] < sum(digits[1:]) else 0
        parts.append(operator.join(map(str, digits)))
        results.append(sum(digits) if operator == "+" else digits[0] - sum(digits[1:]))
    comma = "，" if language == "zh" else ", "
    prompts = DRILL[language]
    prompt = (prompts[-1] if held else rng.choice(prompts[:-1])).format(e=comma.join(parts))
    worked = comma.join(f"{part}={result}" for part, result in zip(parts, results))
    return "drill", prompt, worked + WORDS[language]["stop"], comma.join(map(str, results))


def word_problem(rng, language, held, steps=None):
    """A story of one or two steps, held out by its numbers."""
    story, words = STORY[language], WORDS[language]
    steps = steps or rng.choice((1, 2, 2))
    while True:
        n, i = rng.choice(NAMES[language]), rng.choice(ITEMS[language])
        grouped = rng.random() < 0.35
        g = rng.randint(2, 9)
        a = rng.randint(2, 12) if grouped else rng.randint(2, 99)
        if grouped:
            values, parts = [a * g], [rng.choice(story["groups"]).format(n=n, g=g, a=a, i=i)]
            operations = [(g, a, "*")]
        else:
            values, parts, operations = [a], [rng.choice(story["start"]).format(n=n, a=a, i=i)], []
        while len(operations) < steps:
            op = rng.choice("+-")
            if op == "-" and values[-1] < 2:
                op = "+"
            b = rng.randint(1, 60) if op == "+" else rng.randint(1, min(values[-1], 60))
            parts.append(rng.choice(story["add" if op == "+" else "sub"]).format(n=n, b=b))
            operations.append((values[-1], b, op))
            values.append(values[-1] + b if op == "+" else values[-1] - b)
        if held_out(*operations) == held:
            break
    parts.append(rng.choice(story["ask"]).format(n=n, i=i))
    lines = [words["groups"].format(n=n, g=g, a=a, i=i) if grouped else words["start"].format(n=n, a=a, i=i)]
    checks = []
    for k, (x, y, op) in enumerate(operations, 1):
        lines.append(words["step"].format(k=k, e=f"{x}{op}{y}"))
        worked, c = product(x, y, language) if op == "*" else columns(x, y, op, language)
        lines += worked + [words["so"].format(e=f"{x}{op}{y}={c}")]
        checks.insert(0, check(x, y, op, c))
    lines.append(words["check"].format(("，" if language == "zh" else ", ").join(checks)))
    answer = words["have"].format(n=n, c=c, i=i)
    return f"story_{steps}", story["space"].join(parts), "\n".join(lines), answer
