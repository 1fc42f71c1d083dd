// What a machine under node is made of: the files of a folder, as v86 wants them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function images(v86, bios) {
    const file = path => ({ buffer: new Uint8Array(readFileSync(path)).buffer });
    const { V86 } = await import(pathToFileURL(join(v86, "libv86.mjs")).href);
    return {
        V86, wasm_path: join(v86, "v86.wasm"),
        ...(bios ? { bios: file(join(bios, "bios.bin")), vga_bios: file(join(bios, "vgabios-stdvga.bin")) } : {}),
    };
}

export const file = path => ({ buffer: new Uint8Array(readFileSync(path)).buffer });
