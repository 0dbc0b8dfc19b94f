// Components that nothing names. Besides $ref, x-error-response names a response, and x-decrypted-schema and
// x-file-schema a schema. Security schemes are named in another way, and Spectral looks after them itself.
export default function unused(document) {
  const used = new Set();
  const visit = (node) => {
    if (node === null || typeof node !== 'object') return;
    for (const [key, value] of Object.entries(node)) {
      if (typeof value !== 'string') visit(value);
      else if (key === '$ref') used.add(value);
      else if (key === 'x-error-response') used.add(`#/components/responses/${value}`);
      else if (key === 'x-decrypted-schema' || key === 'x-file-schema') used.add(`#/components/schemas/${value}`);
    }
  };
  visit(document);
  const findings = [];
  for (const [kind, components] of Object.entries(document.components ?? {})) {
    if (kind === 'securitySchemes') continue;
    for (const name of Object.keys(components)) {
      if (!used.has(`#/components/${kind}/${name}`)) {
        findings.push({ message: `nothing refers to the component ${name}`, path: ['components', kind, name] });
      }
    }
  }
  return findings;
}
