"""What becomes of the records where the server fails, turns calls away, or the client is killed; and of the budget."""

import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace

from generation_parts.bench import Bench, billed_usd
from generation_parts.grid import Tell, median
from generation_parts.jobs import FLOOR, OURS, Figures
from synth_pipeline.contracts.identity import rng_for
from synth_pipeline_tests.loopback import RunningServer

LATENCY_S = 0.2
SHARES = {"rate_limit": 0.05, "server_error": 0.02, "truncated_json": 0.02}
N_FAULTS, FAULTS_CONCURRENCY = 1000, 64
ADMITTED, STORM_N, STORM_CONCURRENCY, RETRY_AFTER_S = (10, 4, 40), 500, 64, 1
KILL_N, KILL_CONCURRENCY, KILL_LATENCY_S, LANES = 400, 32, 0.1, 2
LATEST_SHARE, LOOK_AGAIN_S = 1.1, 0.005  # of the time that a run takes at least
BUDGET_N, BUDGET_CONCURRENCY, BUDGET_LATENCY_S, BUDGET_SHARE, PROCESSES = 4000, 128, 0.05, 0.4, 2
BILLED_FAULTS = {"reset_in_body": 0.02, "truncated_body": 0.02, "rate_limit": 0.03}
TOO_BAD = "unparsable"  # both asks of a record met a truncated answer: the one state but `ok` that faults may leave


def measure_faults(bench: Bench, rounds: int, tell: Tell) -> Figures:
    """Return our time beside the floor's, both with retries, and whether every record ended as it should."""
    told: dict[str, list[Figures]] = {FLOOR: [], OURS: []}
    with bench.server() as server, bench.child(FLOOR) as bare, bench.child(OURS) as ours:
        for number in range(rounds):
            for child in (bare.wait_until_ready(), ours.wait_until_ready()):
                tell(f"faults: {child.client}, {number + 1} of {rounds}")
                server.set_dials(latency_s=LATENCY_S, fault_shares=SHARES, seed=number)
                job = bench.job(child.client, server, n=N_FAULTS, concurrency=FAULTS_CONCURRENCY)
                job = replace(job, retries=True)
                told[child.client].append(child.start(job).finish() | {"n_requests": server.stats()["requests"]})
    ends = [one["states"] for one in told[OURS]]
    for one in told[OURS]:
        assert one["n_rows"] == one["n_ids"] == N_FAULTS, f"{one['n_rows']} rows of {one['n_ids']} records"
    return {
        "n": N_FAULTS,
        "ideal_s": N_FAULTS * LATENCY_S / FAULTS_CONCURRENCY,
        "bare_s": median([one["wall_s"] for one in told[FLOOR]]),
        "ours_s": median([one["wall_s"] for one in told[OURS]]),
        "ratio": median([one["wall_s"] / floor["wall_s"] for one, floor in zip(told[OURS], told[FLOOR], strict=True)]),
        "bare_requests": median([one["n_requests"] for one in told[FLOOR]]),
        "ours_requests": median([one["n_requests"] for one in told[OURS]]),
        "n_twice_truncated": sum(states.get(TOO_BAD, 0) for states in ends),
        "n_wrong": sum(n for states in ends for state, n in states.items() if state not in ("ok", TOO_BAD)),
    }


def measure_storms(bench: Bench, rounds: int, tell: Tell) -> list[Figures]:
    """Return how each storm ended, medians: a server that works on so many calls at once, and turns away the rest.

    They go on side by side: each waits nearly all of its time.
    """
    with ExitStack() as stack:
        storms = [
            (admitted, stack.enter_context(bench.server()), stack.enter_context(bench.child(OURS)))
            for admitted in ADMITTED
        ]
        for _, _, child in storms:
            child.wait_until_ready()
        told: dict[int, list[Figures]] = {admitted: [] for admitted in ADMITTED}
        for number in range(rounds):
            tell(f"storms: {', '.join(map(str, ADMITTED))} admitted, side by side, {number + 1} of {rounds}")
            for admitted, server, child in storms:
                server.set_dials(latency_s=LATENCY_S, admit=admitted, retry_after=RETRY_AFTER_S)
                child.start(bench.job(OURS, server, n=STORM_N, concurrency=STORM_CONCURRENCY))
            for admitted, server, child in storms:
                told[admitted].append(child.finish() | {"rejected": server.stats()["rejected"]})
        return [_storm(admitted, told[admitted]) for admitted in ADMITTED]


def _storm(admitted: int, told: Sequence[Figures]) -> Figures:
    for one in told:
        assert one["n_ok"] == STORM_N, f"{one['states']} of {STORM_N} in a storm"
    ideal_s = STORM_N * LATENCY_S / min(admitted, STORM_CONCURRENCY)
    wall_s = median([one["wall_s"] for one in told])
    rejected = median([one["rejected"] for one in told])
    return {
        "admitted": admitted,
        "ideal_s": ideal_s,
        "wall_s": wall_s,
        "ratio_to_ideal": round(wall_s / ideal_s, 3),
        "rejected": int(rejected),
    }


def measure_kills(bench: Bench, n_kills: int, tell: Tell) -> list[Figures]:
    """Return what each of some killed and resumed runs bought again, lost and doubled."""

    def lane(first: int) -> list[Figures]:
        with bench.server(latency_s=KILL_LATENCY_S) as server:
            return [_kill(bench, server, number, tell) for number in range(first, n_kills, LANES)]

    with ThreadPoolExecutor(LANES) as threads:
        return [one for killed in threads.map(lane, range(LANES)) for one in killed]


def _kill(bench: Bench, server: RunningServer, number: int, tell: Tell) -> Figures:
    """Kill one run at a moment of its own after its first request, and resume it in another process."""
    job = bench.job(OURS, server, n=KILL_N, concurrency=KILL_CONCURRENCY)
    ideal_s = KILL_N * KILL_LATENCY_S / KILL_CONCURRENCY
    moment_s = rng_for("benchmark-kill", number).uniform(0, LATEST_SHARE) * ideal_s
    with bench.child(OURS) as first, bench.child(OURS) as second:
        first.wait_until_ready()
        second.wait_until_ready()
        server.set_dials(latency_s=KILL_LATENCY_S)
        first.start(job)
        while not server.stats()["requests"]:
            time.sleep(LOOK_AGAIN_S)
        time.sleep(moment_s)
        first.kill()
        seen = server.stats()
        first.end()
        told = second.start(job).finish()
    n_requests = server.stats()["requests"]
    tell(f"kill {number + 1}: after {moment_s:.2f} s, {n_requests - KILL_N} bought again")
    with closing(sqlite3.connect(job.ledger_file)) as ledger:
        n_calls, n_samples = ledger.execute("select count(*), count(distinct sample) from calls").fetchone()
    return {
        "after_s": moment_s,
        "requests_before": seen["requests"],
        "in_flight": seen["in_flight"],
        "rebought": n_requests - KILL_N,
        "lost": KILL_N - told["n_ok"],
        "doubled": (n_calls - n_samples) + (told["n_rows"] - told["n_ids"]),
    }


def measure_budget(bench: Bench, tell: Tell) -> Figures:
    """Return what a server has billed two processes that share a cap, some of it for answers that never arrived."""
    tell(f"budget: {PROCESSES} processes of {BUDGET_CONCURRENCY} calls in flight")
    cap_usd = round(BUDGET_SHARE * BUDGET_N * PROCESSES * bench.usd_a_call(), 6)
    with ExitStack() as stack:
        server = stack.enter_context(bench.server(latency_s=BUDGET_LATENCY_S, fault_shares=BILLED_FAULTS))
        children = [stack.enter_context(bench.child(OURS)) for _ in range(PROCESSES)]
        for child in children:
            child.wait_until_ready()
        jobs = [
            bench.job(OURS, server, n=BUDGET_N, concurrency=BUDGET_CONCURRENCY, seed=seed) for seed in range(PROCESSES)
        ]
        shared = [replace(job, ledger=jobs[0].name, cap_usd=cap_usd) for job in jobs]
        begun = [child.start(job) for child, job in zip(children, shared, strict=True)]
        told = [child.finish() for child in begun]
        stats = server.stats()
    billed = billed_usd(stats)
    return {
        "cap_usd": cap_usd,
        "billed_usd": round(billed, 6),
        "overrun_usd": round(billed - cap_usd, 6),
        "spent_share": round(billed / cap_usd, 4),
        "most_in_flight": stats["most_in_flight"],
        "states": [one["states"] for one in told],
        "wall_s": max(one["wall_s"] for one in told),
    }
