// One client for every document, whichever there are. Operations give the reply's content, and throw what is an error.
import { readdirSync } from 'node:fs';
import { parse, join } from 'node:path';

const documents = process.env.SDK_DOCUMENTS;

export default readdirSync(documents)
  .filter((file) => file.endsWith('.json'))
  .map((file) => ({
    input: join(documents, file),
    output: { path: join('src/clients', parse(file).name), module: { extension: '.js' } },
    plugins: [
      { name: '@hey-api/client-fetch', throwOnError: true, baseUrl: false },
      '@hey-api/typescript',
      { name: '@hey-api/sdk', responseStyle: 'data' },
    ],
    logs: { file: false },
    interactive: false,
  }));
