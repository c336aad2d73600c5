import type {ControllerClient} from '../../api/controller-client.ts';
import type {Branch} from '../../schemas/branch.ts';
import type {Delivery} from '../../schemas/delivery.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

type Flags = ConnectionFlags & {json?: boolean};

const shownDeliveries = 50;

/** `branchtab deliveries`: the last webhooks, or what became of one. */
export async function deliveries(
  id: string | undefined,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  if (id !== undefined) {
    return explainDelivery(await client.delivery(id), client, flags, terminal);
  }
  const items = await client.deliveries(shownDeliveries);
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('No webhook came yet.\n');
  else {
    const heading = ['RECEIVED', 'FROM', 'EVENT', 'BRANCH', 'OUTCOME', 'DELIVERY'].map((text) =>
      terminal.paint.bold(text),
    );
    terminal.out(formatTable([heading, ...items.map(row)]));
  }
  return exitCodes.ok;
}

/** The way of one delivery to what runs now. */
export async function explainDelivery(
  delivery: Delivery,
  client: ControllerClient,
  flags: Flags,
  terminal: Terminal,
): Promise<ExitCode> {
  const branch = await branchOf(delivery, (name) => client.branch(name));
  if (flags.json) terminal.out(`${JSON.stringify({delivery, branch})}\n`);
  else terminal.out(`${deliverySteps(delivery, branch).join('\n')}\n`);
  return exitCodes.ok;
}

function row({received_at, forge, event, action, branch, outcome, reason, id}: Delivery): string[] {
  return [
    received_at,
    forge,
    printable(action === null ? event : `${event} ${action}`),
    printable(branch ?? '-'),
    outcome === 'ignored' ? `ignored: ${reason}` : outcome,
    printable(id),
  ];
}

/** Null where the delivery is about no branch that is served. */
async function branchOf(
  {branch, watched}: Delivery,
  read: (keyOrName: string) => Promise<Branch>,
): Promise<Branch | null> {
  if (branch === null || watched.length === 0) return null;
  try {
    return await read(branch);
  } catch (error) {
    if (error instanceof AppError && (error.code === 'BRANCH_NOT_FOUND' || error.code === 'BRANCH_AMBIGUOUS'))
      return null;
    throw error;
  }
}

const whyIgnored: Partial<Record<Delivery['reason'], string>> = {
  ping: 'a ping: the hook works, and nothing is to be done',
  unknown_event: 'no event that changes a branch',
  not_a_branch: 'about a tag or something else that is no branch',
  fork: 'about a branch of a fork, which gets no container',
  repository_unwatched: 'no watched repository has this address; see `branchtab status` and docs/github.md',
};

/** The way of a delivery, one step a line: what came, what it matched, what git said, what runs. */
function deliverySteps(delivery: Delivery, branch: Branch | null): string[] {
  const {forge, event, action, repository, received_at, watched, looked_at, found, reason} = delivery;
  const what = [event, action].filter((word) => word !== null).join(' ');
  const about = [
    repository,
    delivery.branch === null ? null : `branch ${delivery.branch}`,
    delivery.pull_request === null ? null : `pull request #${delivery.pull_request}`,
    delivery.commit === null ? null : `commit ${delivery.commit.slice(0, 8)}`,
  ].filter((part) => part !== null);
  const lines = [`${received_at} received: ${what} of ${forge}`, `  about ${about.join(', ') || 'nothing'}`];
  if (delivery.outcome === 'ignored')
    return [...lines, `  ignored: ${whyIgnored[reason] ?? reason}`].map(printable);
  lines.push(`  matched ${watched.join(', ')}`);
  if (looked_at === null) return [...lines, '  the repository is being looked at'].map(printable);
  const where = found === null ? 'has no such branch' : `has ${delivery.branch} at ${found.slice(0, 8)}`;
  lines.push(`${looked_at} looked at: git ${delivery.branch === null ? 'was listed' : where}`);
  if (delivery.branch !== null && found !== null && branch === null)
    lines.push('  the branch is not served: it has no .hoody directory, or `branches` leaves it out');
  for (const {at, revision, outcome, message, duration_ms} of branch?.history ?? [])
    if (at >= received_at)
      lines.push(
        `${at} ${outcome}${revision === null ? '' : ` ${revision.slice(0, 8)}`} in ${Math.round(duration_ms)} ms: ${message}`,
      );
  const ready = branch?.conditions.find(({type}) => type === 'Ready');
  if (ready !== undefined) lines.push(`now: ${ready.message}`);
  return lines.map(printable);
}
