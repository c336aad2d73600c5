import {readSync, writeSync} from 'node:fs';
import {type CronOperation, cronOperations, rawText, startCron, startOfOperation} from './cron-operations.ts';

/**
 * `bun cron-operation.ts <directory> <operation>`: a cron service with a crontab, in a process of its own to be
 * killed. Says `ready`, waits for a line, carries the operation out and says `acknowledged` and with what.
 */
const [directory = '', name = ''] = process.argv.slice(2);
const operation = (cronOperations as Record<string, CronOperation>)[name];
if (operation === undefined) throw new Error(`There is no operation ${name}.`);
const started = await startCron(directory, startOfOperation);
await started.cron.putCrontab('root', rawText, {managed: 'replace', ifMatch: null});
await operation.prepare?.(started);
writeSync(1, 'ready\n');
readSync(0, Buffer.alloc(1));
const answer = await operation.act(started);
const id = typeof answer === 'object' && answer !== null && 'id' in answer ? answer.id : null;
writeSync(1, `acknowledged ${id}\n`);
// Whatever an orderly end would still do is not part of the operation.
process.kill(process.pid, 'SIGKILL');
