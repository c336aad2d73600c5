import {join} from 'node:path';
import {openCron} from '../../runtime/cron/service.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createSecretMask} from '../../runtime/platform/secret-mask.ts';
import {FakeClock} from './fake-clock.ts';

/**
 * A cron service in a process of its own, to be killed: `bun cron-child.ts <directory> <crontab> <when>`. It puts the
 * crontab at 09:00 and goes on to 09:01. With `claimed` it kills itself between the claim and the start of the
 * first due run; with `running` it goes on; with `ticking` so does the clock, and it says when a record holds output.
 */
const [directory = '', crontab = '', when = ''] = process.argv.slice(2);
const clock = new FakeClock('2026-05-18T09:00:00Z');
const cron = await openCron({
  directory: join(directory, 'cron'),
  dataDirectory: directory,
  clock,
  log: silentLog,
  defaultTimeZone: 'UTC',
  users: [],
  environment() {
    // Read before the claim; the claim is written before any microtask has its turn, the start comes after.
    if (when === 'claimed') queueMicrotask(() => process.kill(process.pid, 'SIGKILL'));
    return {revision: null, variables: {}, mask: createSecretMask([])};
  },
});
cron.setScheduleState('running');
cron.start({reboot: false});
await cron.putCrontab('root', crontab, {managed: 'replace', ifMatch: null});
await clock.advance(60_000);
while (when === 'ticking') {
  await clock.advance(100);
  const filter = {entry: null, status: null, sinceMs: null, untilMs: null, cursor: null, limit: 1};
  const {items} = await cron.listRuns('root', filter);
  if (items[0]?.stdout === '') continue;
  process.stdout.write('stored\n');
  break;
}
