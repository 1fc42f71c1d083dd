// Code that a page includes from inside of a function begins with that function's indentation, which on a phone is a quarter of
// the line. The spaces that all lines of a block have in common go; highlighting has made many texts of the block by now.
for (const code of document.querySelectorAll('.content pre > code.language-rust')) {
    const lines = code.textContent.split('\n').filter((line) => line.trim());
    const common = Math.min(...lines.map((line) => line.search(/\S/)));
    if (!lines.length || !common) continue;
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    let left = common; // spaces to leave out in this line
    while (texts.nextNode()) {
        let kept = '';
        for (const letter of texts.currentNode.data) {
            if (left && letter === ' ') {
                left--;
                continue;
            }
            left = letter === '\n' ? common : 0;
            kept += letter;
        }
        texts.currentNode.data = kept;
    }
}
