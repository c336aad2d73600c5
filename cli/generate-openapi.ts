import {writeFile} from 'node:fs/promises';
import {printCronOpenApi} from '../api/cron-openapi.ts';

/** Part of `npm run generate`: the document that a runtime answers, for reading and for review. */
await writeFile(new URL('../docs/cron.openapi.yaml', import.meta.url), printCronOpenApi());
