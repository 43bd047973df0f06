#!/usr/bin/env python3
"""Speed of this engine and of llama.cpp on the same GGUF file, in pairs, one after the other, in one run.

    cargo build --release -p candor-engine --bench speed          # prints the program's path
    python against_llama.py --speed PATH_OF_PROGRAM --model FILE.gguf [--threads 2] [--pairs 5] [--streams 1,8]

Needs `pip install llama-cpp-python`. Every pair is measured with a bandwidth probe before it, and the ratios of the pairs
are what counts: on a machine that others use the figures themselves mean little. Each engine's process starts anew for each
pair, so neither keeps a cache, and is alone while it is measured.
"""
import argparse, json, statistics, subprocess, sys, time


def llama(args):
    """The child: measures llama.cpp and prints what `speed` prints."""
    import ctypes, random
    import llama_cpp as l

    l.llama_backend_init()
    l.llama_log_set(QUIET := l.llama_log_callback(lambda level, text, data: None), ctypes.c_void_p(0))
    began = time.perf_counter()
    model = l.llama_model_load_from_file(args.model.encode(), l.llama_model_default_params())
    params = l.llama_context_default_params()
    streams = [int(count) for count in args.streams.split(",")]
    each = args.prompt_tokens + args.gen_tokens + 8
    params.n_ctx = max(each * max(streams), 512)
    params.n_batch = params.n_ubatch = 512
    params.n_seq_max = max(streams)
    params.n_threads = params.n_threads_batch = args.threads
    context = l.llama_init_from_model(model, params)
    loaded = time.perf_counter() - began
    known = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
    random.seed(1)

    def decode(rows):
        """rows: (token, position, sequence, wanted)"""
        batch = l.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for at, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, position, 1
            batch.seq_id[at][0], batch.logits[at] = sequence, wanted
        assert l.llama_decode(context, batch) == 0
        l.llama_batch_free(batch)
        for at, row in enumerate(rows):
            if row[3]:
                l.llama_get_logits_ith(context, at)

    decode([(1, 0, 0, 1)])  # what is set up on first use
    for count in streams:
        l.llama_memory_clear(l.llama_get_memory(context), True)
        began = time.perf_counter()
        for sequence in range(count):
            tokens = [random.randrange(known) for _ in range(args.prompt_tokens)]
            for start in range(0, len(tokens), 512):
                part = range(start, min(start + 512, len(tokens)))
                decode([(tokens[at], at, sequence, int(at + 1 == len(tokens))) for at in part])
        cold = time.perf_counter() - began
        began = time.perf_counter()
        for step in range(args.gen_tokens):
            decode([(random.randrange(known), args.prompt_tokens + step, sequence, 1) for sequence in range(count)])
        reply = time.perf_counter() - began
        status = open("/proc/self/status").read()
        resident = int(status.split("VmRSS:")[1].split()[0]) // 1024
        print(json.dumps({"streams": count, "prefill": count * args.prompt_tokens / cold,
                          "decode": count * args.gen_tokens / reply, "load_s": loaded, "rss_mb": resident}), flush=True)


def run(command):
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", help="the bench program of this crate")
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=32)
    parser.add_argument("--streams", default="1")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--llama", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.llama:
        return llama(args)
    own = ["--model", args.model, "--threads", str(args.threads), "--prompt-tokens", str(args.prompt_tokens),
           "--gen-tokens", str(args.gen_tokens), "--streams", args.streams]
    ratios = {}
    for pair in range(args.pairs):
        probe = run([args.speed, "--bandwidth", str(args.threads)])[0]["bandwidth_gb_s"]
        load = open("/proc/loadavg").read().split()[0]
        first, second = [args.speed, *own], [sys.executable, __file__, *own, "--llama"]
        swapped = pair % 2 == 1
        results = [run(command) for command in ((second, first) if swapped else (first, second))]
        ours, theirs = reversed(results) if swapped else results
        for a, b in zip(ours, theirs):
            for key in ("prefill", "decode", "rss_mb"):
                ratios.setdefault((a["streams"], key), []).append(a[key] / b[key])
            print(f"pair {pair} bandwidth {probe:5.1f} GB/s load {load} streams {a['streams']}: prefill {a['prefill']:7.1f} / {b['prefill']:7.1f}"
                  f"  decode {a['decode']:6.2f} / {b['decode']:6.2f}  RSS {a['rss_mb']} / {b['rss_mb']} MB", flush=True)
    for (streams, key), values in ratios.items():
        print(f"streams {streams} {key:8s} ours / llama.cpp: median {statistics.median(values):.2f}  (of {len(values)}: {min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
