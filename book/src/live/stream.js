// Lines of JSON from a response that is still arriving.

/**
 * Yields each line of a response's body as a value, as soon as the line is complete.
 * @param {Response} response
 */
export async function* jsonLines(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    try {
        for (;;) {
            const { value, done } = await reader.read();
            if (done) break;
            const lines = (rest + value).split('\n');
            rest = lines.pop();
            yield* lines.filter(Boolean).map((line) => JSON.parse(line));
        }
        if (rest) yield JSON.parse(rest);
    } finally {
        // Leaving the loop early closes the connection, and then the server kills what it runs for it.
        reader.cancel().catch(() => {});
    }
}
