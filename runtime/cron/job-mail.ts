import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {Mail, MailDelivery} from '../platform/mail-delivery.ts';
import type {Entry} from './entry.ts';
import type {RunClaim, RunResult} from './run-store.ts';

/** Mails what a job wrote to whom `MAILTO` of its crontab names, as cron does. */
export interface JobMail {
  /** Returns at once; what cannot be sent is tried again a few times and then logged. */
  report(entry: Entry, claim: RunClaim, result: RunResult): void;
}

/** Before each further try. */
const waitsMs = [10_000, 60_000, 5 * 60_000] as const;
const mostWaiting = 100;
const mostRecipients = 20;

export interface JobMailOptions {
  /** null while no server is configured. */
  readonly delivery: () => MailDelivery | null;
  /** Stands for the container in subject and sender. */
  readonly host: string;
}

export function createJobMail({
  delivery,
  host,
  clock,
  log,
  stopped,
}: JobMailOptions & {
  clock: Clock;
  log: Log;
  stopped: AbortSignal;
}): JobMail {
  let waiting = 0;

  async function send(deliver: MailDelivery, mail: Mail, runId: string): Promise<void> {
    for (let tries = 0; !stopped.aborted; tries += 1) {
      try {
        await deliver(mail);
        return;
      } catch (error) {
        const waitMs = waitsMs[tries];
        if (waitMs === undefined) {
          log.error('the output of a run could not be mailed', {error, run_id: runId});
          return;
        }
        // Rejects only at the end of the service, which the loop sees.
        await clock.sleep(waitMs, {signal: stopped}).catch(() => {});
      }
    }
  }

  return {
    report(entry, claim, result) {
      const deliver = delivery();
      const mail = composeMail(entry, result, host);
      if (deliver === null || mail === null) return;
      if (mail.to.length === 0) {
        log.warn('MAILTO names no address that mail can be sent to', {entry_id: entry.id});
        return;
      }
      if (waiting >= mostWaiting) {
        log.error('too much mail waits; the output of a run is not mailed', {run_id: claim.id});
        return;
      }
      waiting += 1;
      void send(deliver, mail, claim.id).finally(() => {
        waiting -= 1;
      });
    },
  };
}

/** null where cron would send nothing: without `MAILTO`, with an empty one, and for a job that wrote nothing. */
function composeMail({user, job}: Entry, {stdout, stderr}: RunResult, host: string): Mail | null {
  const {MAILTO: mailto = '', MAILFROM: sender = ''} = job.environment;
  const text = stdout + stderr;
  if (mailto === '' || text === '') return null;
  const [from = `cron@${host}`] = addresses(sender);
  return {
    from,
    to: addresses(mailto).slice(0, mostRecipients),
    subject: `Cron <${user}@${host}> ${job.command.slice(0, 200)}`,
    text,
    // Tells other machines not to answer.
    headers: {'Auto-Submitted': 'auto-generated', Precedence: 'bulk'},
  };
}

function addresses(list: string): string[] {
  return list
    .split(',')
    .map((address) => address.trim())
    .filter((address) => /^[^\s@,;:<>"()[\]\\]+(?:@[A-Za-z0-9.-]+)?$/.test(address));
}
