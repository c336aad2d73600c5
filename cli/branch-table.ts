import type {Branch, ContainerView} from '../schemas/branch.ts';
import {branchName} from '../schemas/branch-name.ts';
import {formatDuration} from '../schemas/duration.ts';
import {formatTable, type Paint, printable} from './terminal.ts';

type Gap = ContainerView['gaps'][number];

const headings = ['BRANCH', 'COMMIT', 'CONTAINER', 'STATE', 'NEXT RUN', 'LAST RUN'];

/** The table of `up` and `status`. */
export function branchTable(
  branches: readonly Branch[],
  {paint, nowMs, columns}: {paint: Paint; nowMs: number; columns: number},
): string {
  const severalRepositories = new Set(branches.map(({repository}) => repository)).size > 1;
  const rows = branches.map((branch) => [
    printable(severalRepositories ? `${branch.repository} ${branchName(branch)}` : branchName(branch)) +
      (branch.live ? paint.dim(' live') : ''),
    commitCell(branch),
    branch.container === null ? '-' : branch.container.id.slice(0, 12),
    stateCell(branch, paint),
    nextCell(branch, nowMs),
    lastCell(branch, paint, nowMs),
  ]);
  return formatTable([headings.map((heading) => paint.bold(heading)), ...rows], {columns});
}

/** Reasons why branches are not ready, and notices, one block each; empty where there is nothing to say. */
export function problems(branches: readonly Branch[], paint: Paint): string {
  return branches
    .flatMap((branch) => {
      const stalled = branch.conditions.find(({type, status}) => type === 'Stalled' && status === 'True');
      const ready = branch.conditions.find(({type}) => type === 'Ready');
      const settled = ['rolled_back', 'suspended'].includes(ready?.reason ?? '')
        ? [ready?.message ?? '']
        : [];
      const notices = [...settled, ...branch.notices].map(
        (notice) => `${paint.yellow(printable(branchName(branch)))} notice\n  ${printable(notice)}\n`,
      );
      if (
        stalled === undefined &&
        (ready === undefined ||
          ready.status === 'True' ||
          // Of the latter two one line for each repository says it all.
          ['progressing', 'trashed', 'first_contact', 'skipped', 'read_only', 'suspended'].includes(
            ready.reason,
          ))
      )
        return notices;
      const lines = (stalled?.issues ?? []).map(
        (issue) =>
          `  ${issue.file}:${issue.line}:${issue.column} ${issue.code}: ${printable(issue.message)}\n`,
      );
      const message =
        lines.length === 0 ? `  ${printable((stalled ?? ready)?.message ?? '')}\n` : lines.join('');
      return [
        `${paint.red(printable(branchName(branch)))} ${stalled?.reason ?? ready?.reason ?? ''}\n${message}`,
        ...notices,
      ];
    })
    .join('');
}

/** What the host cannot do for containers, a line each; empty where it can do all of it. */
export function hostNotices(branches: readonly Branch[], paint: Paint): string {
  return gapNotice(branches, paint) + unenforcedNotice(branches, paint);
}

const gapWords: Readonly<Record<Gap, string>> = {
  files_of_others: 'files of others',
  processes_of_others: 'processes of others',
  sockets_of_others: "other containers' sockets",
  state_directory: 'the state directory with the token',
  git_credentials: 'git credentials',
  host_network: 'the network of this host',
};

/** The network alone is what every level leaves open; more than that is worth a line. */
function gapNotice(branches: readonly Branch[], paint: Paint): string {
  const gaps = [...new Set(branches.flatMap(({container}) => container?.gaps ?? []))];
  if (gaps.length <= 1) return '';
  const level = branches.find(({container}) => container !== null)?.container?.level ?? '';
  return `${paint.yellow(`level ${level}`)} does not keep from jobs: ${gaps.map((gap) => gapWords[gap]).join(', ')}. See docs/security.md.\n`;
}

function unenforcedNotice(branches: readonly Branch[], paint: Paint): string {
  const unenforced = [...new Set(branches.flatMap(({container}) => container?.unenforced ?? []))].sort();
  if (unenforced.length === 0) return '';
  const names = unenforced.map((limit) => `limits.${limit}`).join(' and ');
  return `${paint.yellow('this host')} gives Branchtab no cgroup to divide: ${names} of branches ${unenforced.length === 1 ? 'is' : 'are'} not enforced. See docs/environments.md.\n`;
}

function commitCell({revision, observed_revision}: Branch): string {
  const observed = observed_revision?.slice(0, 8) ?? '-';
  return revision === null || revision === observed_revision
    ? observed
    : `${observed} → ${revision.slice(0, 8)}`;
}

function stateCell(branch: Branch, paint: Paint): string {
  const is = (type: string) =>
    branch.conditions.some((condition) => condition.type === type && condition.status === 'True');
  const state = branch.container?.state ?? 'no container';
  if (isReason(branch, 'first_contact') || isReason(branch, 'skipped')) return paint.dim('paused');
  if (is('Stalled')) return paint.red(`${state}, stalled`);
  if (isReason(branch, 'trashed')) return paint.dim('trash');
  if (is('Reconciling'))
    return paint.yellow(isFalse(branch, 'Ready') ? `${state}, retrying` : `${state}, applying`);
  return is('Ready') ? paint.green(state) : paint.yellow(state);
}

function isFalse(branch: Branch, type: 'Ready'): boolean {
  return branch.conditions.some((condition) => condition.type === type && condition.status === 'False');
}

function isReason(branch: Branch, reason: string): boolean {
  return branch.conditions.some((condition) => condition.type === 'Ready' && condition.reason === reason);
}

function nextCell({next_run}: Branch, nowMs: number): string {
  if (next_run === null) return '-';
  return `${printable(next_run.entry_name ?? 'job')} in ${formatDuration(Math.max(0, Date.parse(next_run.at) - nowMs))}`;
}

function lastCell({last_run}: Branch, paint: Paint, nowMs: number): string {
  if (last_run === null) return '-';
  const colour =
    {succeeded: paint.green, failed: paint.red, timed_out: paint.red, interrupted: paint.yellow}[
      last_run.status
    ] ?? paint.dim;
  const code =
    last_run.status === 'failed' && last_run.exit_code !== null ? ` (exit ${last_run.exit_code})` : '';
  const ago = formatDuration(Math.max(0, nowMs - Date.parse(last_run.scheduled_at)));
  return `${colour(last_run.status + code)} ${printable(last_run.entry_name ?? '')} ${ago} ago`;
}
