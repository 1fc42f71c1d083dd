// One stream of the server's events for all tabs of a browser.
//
// A browser opens six connections to a host at most. If each tab kept a stream, the seventh tab would load nothing. So the
// tab that gets the lock has the stream, and tells the others; a hidden tab gives the lock back.

const NAME = 'workbook-events';

/**
 * Calls `deliver` with each event, whichever tab receives it, and `lost` when the stream breaks.
 */
export function listen(backend, deliver, lost) {
    if (!navigator.locks || !globalThis.BroadcastChannel || !backend.events) return;
    const others = new BroadcastChannel(NAME);
    others.onmessage = ({ data }) => (data.kind === 'lost' ? lost(data.message) : deliver(data));
    let current = null;
    const lead = () => navigator.locks.request(NAME, { signal: (current = new AbortController()).signal }, async () => {
        const stream = new AbortController();
        current.signal.addEventListener('abort', () => stream.abort());
        const hide = () => document.hidden && stream.abort();
        document.addEventListener('visibilitychange', hide);
        let wait = 500;
        try {
            while (!stream.signal.aborted) {
                try {
                    for await (const event of backend.events(stream.signal)) {
                        wait = 500;
                        others.postMessage(event);
                        deliver(event);
                    }
                } catch (error) {
                    if (stream.signal.aborted) break;
                    others.postMessage({ kind: 'lost', message: error.message });
                    lost(error.message);
                }
                await pause(wait, stream.signal);
                wait = Math.min(wait * 2, 8000);
            }
        } finally {
            document.removeEventListener('visibilitychange', hide);
        }
    }).catch(() => {});
    let leading = null;
    const follow = () => {
        if (!document.hidden && !leading) leading = lead().finally(() => (leading = null));
    };
    document.addEventListener('visibilitychange', follow);
    follow();
}

const pause = (ms, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
});
