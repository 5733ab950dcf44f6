"""Tests that are written in JavaScript, run by Node."""

import asyncio
import re

TIMEOUT = 120  # seconds; a bound, no expectation


async def run_tests(node, path, **environ):
    """Run a file of tests; all of them have to pass."""
    process = await asyncio.create_subprocess_exec(
        node,
        "--test",
        path,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    printed = output.decode()
    assert process.returncode == 0, printed
    assert re.search(r"^\S pass [1-9]\d*$", printed, re.MULTILINE), printed
    assert re.search(r"^\S skipped 0$", printed, re.MULTILINE), printed
