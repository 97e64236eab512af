"""How long the imports take, each in a fresh interpreter: median of several, in milliseconds."""

import statistics
import subprocess
import sys

ROUNDS = 9
MODULES = (
    "pydantic",
    "httpx",
    "guard_integrations",
    "langchain_mistralai",
    "guard_integrations.langchain",
    "llama_index.llms.mistralai",
    "guard_integrations.llama_index",
)


def milliseconds(module: str) -> float:
    """One import in one interpreter, less the interpreter's own start."""
    code = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e3)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    return float(done.stdout)


def main() -> None:
    """Prints one line a module."""
    times: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(ROUNDS):
        for module in MODULES:
            times[module].append(milliseconds(module))
    for module, taken in times.items():
        print(f"{module:32} {statistics.median(taken):8.0f} ms   (best {min(taken):.0f})")


if __name__ == "__main__":
    main()
