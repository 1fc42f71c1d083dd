// The worker of a page that was opened from a file: the emulator is in the script, and the page sends the rest as text.

import { serve, unpacked } from 'the-book/linux-worker.js';
import { V86 } from 'the-machine/libv86.mjs';

const bytes = (base64) => unpacked(Uint8Array.from(atob(base64), (digit) => digit.charCodeAt(0)).buffer);

serve(async ({ wasm, state }) => ({ V86, wasm: await bytes(wasm), state: await bytes(state) }), bytes);
