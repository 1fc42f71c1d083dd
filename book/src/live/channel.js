// One stream of the server's events for all tabs of a browser.
//
// A browser opens six connections to a host at most. If each tab kept a stream, the seventh tab would load nothing. So the
// visible tab that gets the lock has the stream, and tells the others; a tab that is hidden gives the lock back. While all tabs
// are hidden, none has the stream, and what the server says is lost. So a stream begins with the event `hello`, at which each
// page asks for the present state.

const NAME = 'workbook-events';

/**
 * Calls `deliver` with each event, whichever tab receives it, and `lost` when the stream breaks.
 */
export function listen(backend, deliver, lost) {
    if (!backend.events) return;
    const others = channel();
    others.onmessage = ({ data }) => (data.kind === 'lost' ? lost(data.message) : deliver(data));
    const lead = async () => {
        const stream = new AbortController();
        const hide = () => document.hidden && stream.abort();
        document.addEventListener('visibilitychange', hide);
        hide(); // It may have been hidden while it waited for the lock.
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
    };
    let leads = false;
    const follow = async () => {
        if (document.hidden || leads) return;
        leads = true;
        const led = await alone(lead).then(() => true, () => false);
        leads = false;
        // It may have been shown again before its stream had ended.
        if (led) follow();
    };
    document.addEventListener('visibilitychange', follow);
    follow();
}

/** What a tab says to the others. A browser that may keep nothing for this site may refuse it that, too. */
function channel() {
    try {
        return new BroadcastChannel(NAME);
    } catch {
        return { postMessage() {} };
    }
}

/** Lets one tab after the other lead. Where the browser refuses locks, each tab leads while it is visible. */
async function alone(lead) {
    let leads = false;
    try {
        await navigator.locks.request(NAME, () => {
            leads = true;
            return lead();
        });
    } catch (error) {
        if (leads) throw error;
        await lead();
    }
}

const pause = (ms, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
});
