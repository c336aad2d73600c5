import {formatDuration} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import type {ExplanationStep, JournalEvent} from '../../schemas/journal.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {formatTable, type Paint, printable, type Terminal} from '../terminal.ts';
import {explainDelivery} from './deliveries.ts';

type AccountFlags = ConnectionFlags & {readonly json?: boolean};

/** `branchtab history`: what happened to a branch, newest first; also of one that is gone. */
export async function history(
  branch: string,
  flags: AccountFlags & {readonly limit: string},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const items = await client.history(branch, {limit: flags.limit});
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('Nothing is on record of it yet.\n');
  else terminal.out(historyTable(items, terminal.paint));
  return exitCodes.ok;
}

function historyTable(items: readonly JournalEvent[], paint: Paint): string {
  const heading = ['AT', 'COMMIT', 'WHAT', 'TOOK', ''].map((text) => paint.bold(text));
  return formatTable([heading, ...items.map((event) => row(event))]);
}

function row(event: JournalEvent): string[] {
  switch (event.kind) {
    case 'seen':
      return [
        event.at,
        event.revision.slice(0, 8),
        'seen',
        '-',
        event.causes.map(({kind}) => kind).join(', '),
      ];
    case 'missing':
      return [
        event.at,
        '-',
        event.proven ? 'gone' : 'missing',
        '-',
        event.held ? `${event.cause}, held` : event.cause,
      ];
    case 'worked': {
      const done = event.steps.map(({summary}) => summary).join('; ');
      const active = event.active_ms === null ? '' : ` Active after ${formatDuration(event.active_ms)}.`;
      const said = event.outcome === 'applied' ? `${done}.${active}` : event.message;
      return [
        event.at,
        event.revision?.slice(0, 8) ?? '-',
        event.outcome,
        formatDuration(event.duration_ms),
        printable(said),
      ];
    }
    default:
      return event satisfies never;
  }
}

/** `branchtab explain`: the way of a branch, or of a webhook delivery, from git to its container, and where it ended. */
export async function explain(
  subject: string,
  flags: AccountFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const explanation = await client.explain(subject).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'BRANCH_NOT_FOUND') return null;
    throw error;
  });
  if (explanation === null) {
    const delivery = await client.delivery(subject).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== 'DELIVERY_NOT_FOUND') throw error;
      throw new AppError(
        'BRANCH_NOT_FOUND',
        `Neither a branch nor a webhook delivery is called ${JSON.stringify(subject)}; see \`branchtab status\` and \`branchtab deliveries\``,
        {cause: error},
      );
    });
    return explainDelivery(delivery, client, flags, terminal);
  }
  if (flags.json) {
    terminal.out(`${JSON.stringify(explanation)}\n`);
    return exitCodes.ok;
  }
  const {branch, revision, steps} = explanation;
  const {paint} = terminal;
  terminal.out(`${paint.bold(`${printable(branch)} ${revision?.slice(0, 8) ?? ''}`.trimEnd())}\n`);
  for (const {step, state, at, message} of steps) {
    const words = `${step.padEnd(9)} ${(at ?? '-').padEnd(24)} ${marks[state].padEnd(2)} ${printable(message)}`;
    terminal.out(`${words}\n`);
  }
  return exitCodes.ok;
}

const marks: Record<ExplanationStep['state'], string> = {done: 'ok', waiting: '..', failed: 'no'};
