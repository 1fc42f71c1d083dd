// The pages' modules, for a page that was opened from a file: `pack.mjs` makes one script of it.

import './file-machine.js';
import 'the-book/page.js';
