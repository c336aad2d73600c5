import {writeFile} from 'node:fs/promises';
import {printCronOpenApi} from '../api/cron-openapi.ts';
import {printNotificationOpenApi} from '../api/notification-openapi.ts';

/** Part of `npm run generate`: the documents that a runtime answers, for reading and for review. */
await writeFile(new URL('../docs/cron.openapi.yaml', import.meta.url), printCronOpenApi());
await writeFile(new URL('../docs/notifications.openapi.yaml', import.meta.url), printNotificationOpenApi());
