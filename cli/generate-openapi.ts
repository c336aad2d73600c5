import {writeFile} from 'node:fs/promises';
import {printCronOpenApi} from '../api/cron-openapi.ts';
import {printExecOpenApi} from '../api/exec-openapi.ts';
import {printNotificationOpenApi} from '../api/notification-openapi.ts';
import {printStorageOpenApi} from '../api/storage-openapi.ts';

/** Part of `npm run generate`: the documents that a runtime answers, for reading and for review. */
const documents = {
  cron: printCronOpenApi(),
  exec: printExecOpenApi(),
  notifications: printNotificationOpenApi(),
  storage: printStorageOpenApi(),
};
for (const [name, text] of Object.entries(documents))
  await writeFile(new URL(`../docs/${name}.openapi.yaml`, import.meta.url), text);
