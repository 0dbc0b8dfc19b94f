// One client for every document, whichever there are.
import { readdirSync } from 'node:fs';
import { parse, join } from 'node:path';

const documents = process.env.SDK_DOCUMENTS;

export default readdirSync(documents)
  .filter((file) => file.endsWith('.json'))
  .map((file) => ({
    input: join(documents, file),
    output: { path: join('clients', parse(file).name), module: { extension: '.js' } },
    plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'],
    logs: { file: false },
    interactive: false,
  }));
