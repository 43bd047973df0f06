//! Texts to scan, made of sentences written for it, in an order that a fixed number draws. It reads no file.

/// A source of numbers that is the same in every run.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// One that begins at a number.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// The next number below a bound.
    pub(crate) const fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// Sentences in some order, cut at the last whole character before a length.
pub(crate) fn of(sentences: &[&str], between: &str, length: usize) -> String {
    let mut draw = Draw::new(7);
    let mut text = String::new();
    while text.len() < length {
        text.push_str(sentences[draw.below(sentences.len())]);
        text.push_str(between);
    }
    text.truncate(text.floor_char_boundary(length));
    text
}

/// Words of a made-up language with English sounds.
pub(crate) fn word(draw: &mut Draw) -> String {
    const BEGINS: [&str; 24] = [
        "b", "br", "c", "ch", "d", "f", "g", "gr", "h", "k", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v",
        "w", "y", "z",
    ];
    const MIDDLES: [&str; 10] = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "io", "ee"];
    const ENDS: [&str; 12] = ["n", "r", "l", "s", "t", "nd", "ck", "m", "p", "ng", "rt", ""];
    let mut word = String::new();
    for _ in 0..2 + draw.below(2) {
        for part in [&BEGINS[..], &MIDDLES[..], &ENDS[..]] {
            word.push_str(part[draw.below(part.len())]);
        }
    }
    word
}

/// Answers and questions as people exchange them with models.
pub(crate) const ENGLISH: &[&str] = &[
    "The committee met again on Thursday to go over the budget, and most of the discussion was about the cost of heating.",
    "If you want the function to return early, check the length of the list before you start the loop.",
    "She had lived in the same street for forty years and knew every family by name.",
    "There are three common reasons why a database becomes slow: missing indexes, too many connections, and long transactions.",
    "I would start with a short summary, then explain the method, and only after that present the results.",
    "In 1923 the company moved its offices to a larger building near the river, where it remained until the war.",
    "Photosynthesis converts light into chemical energy; the light reactions take place in the thylakoid membranes.",
    "Please rewrite the following paragraph so that it sounds more friendly, but keep all the facts.",
    "A good rule of thumb is to save three to six months of expenses before investing in anything risky.",
    "The recipe calls for two cups of flour, one teaspoon of salt, and about 300 ml of lukewarm water.",
    "Although the weather was bad, the children insisted on walking to the lake, which was still frozen.",
    "Could you compare the advantages and disadvantages of renewable energy sources for a small island?",
    "The treaty was signed by representatives of twelve countries and came into force the following spring.",
    "To reproduce the error, open the settings page, change the language, and reload twice.",
    "He didn't answer at first; instead he looked out of the window, as if somebody were waiting there.",
    "Interest rates affect the price of bonds because future payments are worth less when rates rise.",
    "My cat keeps scratching the sofa - what can I do about it without hurting her?",
    "Quantum computers use qubits, which can be in a superposition of states, and gates that act on them.",
    "The second half of the film is slower than the first, but the acting carries it.",
    "Here's a plan for your trip: spend the first two days in the old town, then take the train to the coast.",
    "Studies of this kind are difficult to control, so the authors caution against drawing strong conclusions.",
    "The password policy requires at least twelve characters, and the access token expires after one hour.",
    "Bread was expensive that winter, and the government promised to lower the tax on grain.",
    "Note that the second argument is optional (it defaults to None), so older callers keep working.",
];

/// The same in Chinese.
pub(crate) const CHINESE: &[&str] = &[
    "委员会星期四再次开会讨论预算，大部分时间都在谈取暖费用的问题。",
    "如果你希望函数提前返回，请在循环开始之前检查列表的长度。",
    "她在同一条街上住了四十年，认识每一户人家。",
    "数据库变慢通常有三个原因：缺少索引、连接太多，以及事务太长。",
    "我会先写一个简短的总结，然后解释方法，最后再介绍结果。",
    "1923年，公司把办公室搬到了河边一座更大的楼里，一直留到战争爆发。",
    "光合作用把光能转化为化学能，光反应发生在类囊体膜上。",
    "请把下面这段话改写得更亲切一些，但要保留所有事实。",
    "这个食谱需要两杯面粉、一茶匙盐和大约300毫升温水。",
    "虽然天气不好，孩子们还是坚持走到那个仍然结冰的湖边。",
    "請比較一下可再生能源對一個小島的優點和缺點。",
    "十二个国家的代表签署了条约，第二年春天生效。",
];

/// What programs and tools say.
pub(crate) const CODE: &[&str] = &[
    r#"{"id":"chatcmpl-9f31","object":"chat.completion","created":1732551042,"model":"small-1","usage":{"total_tokens":512}}"#,
    "fn parse(input: &str) -> Result<Vec<u8>, Error> {\n    let mut out = Vec::with_capacity(input.len() / 2);\n",
    "    for (index, byte) in input.bytes().enumerate() {\n        out.push(decode(byte).ok_or(Error::At(index))?);\n    }\n",
    r#"{"name":"Ada","tags":["a","b-c","d_e"],"created_at":"2024-03-01T12:30:45Z","url":"https://api.example.org/v1/items?page=2&size=50"}"#,
    "def total(rows):\n    return sum(row[\"price\"] * row.get(\"count\", 1) for row in rows if row[\"state\"] != \"void\")\n",
    "SELECT o.id, c.name, SUM(l.amount) AS total FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY 1, 2;\n",
    "2024-11-26 02:14:56,123 INFO [worker-7] request=8f14e45fceea167a took=12.5ms status=200 bytes=18234 path=/v1/chat\n",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8\nAuthor: Ann <ann@example.org>\n\n    Fix rounding of totals (#1423)\n",
    "const total = items.reduce((sum, { price, count = 1 }) => sum + price * count, 0); // 日本語のコメント\n",
    "    let key = std::env::var(\"API_KEY\").unwrap_or_default(); /* never print it */\n",
];
