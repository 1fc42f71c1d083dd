/** Runs the steps, or those that are wanted, and prints the name of each. False if one failed: the others are not run then. */
export async function run(steps, wanted) {
    for (const [name, step] of Object.entries(steps)) {
        if (wanted.length && !wanted.includes(name)) continue;
        const start = performance.now();
        try {
            await step();
            console.log(`${name}: ok, ${((performance.now() - start) / 1000).toFixed(1)} s`);
        } catch (error) {
            console.log(`${name}: ${error.stack}`);
            return false;
        }
    }
    return true;
}
