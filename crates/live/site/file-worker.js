// The worker of a page that was opened from a file: the emulator is in the script, and the page sends the rest as text.

import { serve, unzipped } from 'the-book/linux-worker.js';
import { V86 } from 'the-machine/libv86.mjs';

const unpacked = (base64) => unzipped(new Blob([Uint8Array.from(atob(base64), (digit) => digit.charCodeAt(0))]).stream());

serve(async ({ wasm, state }) => ({ V86, wasm: await unpacked(wasm), state: await unpacked(state) }));
