// The sections of an introduction have headings, ## Errors, in info.description. The document that seals
// messages has one on encryption besides.
export default function introduction(document, { sections }) {
  const text = document.info?.description ?? '';
  const wanted = sealed(document) ? [...sections, 'Encryption'] : sections;
  return wanted
    .filter((name) => !text.includes(`\n## ${name}\n`))
    .map((name) => ({ message: `info.description has no section ## ${name}`, path: ['info', 'description'] }));
}

function sealed(node) {
  return node !== null && typeof node === 'object' &&
    ('x-decrypted-schema' in node || Object.values(node).some(sealed));
}
