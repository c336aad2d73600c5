import {readCrontabs} from '../reconciler/branch-files.ts';
import {type Census, mostUnasked} from '../reconciler/first-contact.ts';
import type {Source} from '../reconciler/sources/source.ts';
import {branchName} from '../schemas/branch-name.ts';
import {parseCrontab} from '../schemas/crontab.ts';
import {AppError} from '../schemas/errors.ts';
import {formatTable, printable, type Terminal} from './terminal.ts';

/** So many branches are named; the others are counted. */
const mostNamed = 20;

/** A repository that is met for the first time, with more branches than are run unasked. */
export interface FirstMeeting {
  readonly census: Census;
  readonly source: Source;
}

/** What `up` would do, one line for each branch. */
async function firstContactPlan({census, source}: FirstMeeting, signal: AbortSignal): Promise<string> {
  const {repository, branches, live} = census;
  const rows = await Promise.all(
    branches.slice(0, mostNamed).map(async ({branch, path, commit}) => {
      const {crontabs} = readCrontabs((await source.readHoody(commit, {path, signal})) ?? {files: []});
      const count = crontabs.reduce(
        (sum, {file, text}) => sum + parseCrontab(text, {file, managedAllowed: false}).jobs.length,
        0,
      );
      const jobs = `${count} job${count === 1 ? '' : 's'}`;
      return [
        `  ${printable(branchName({branch, path}))}`,
        jobs,
        branch === live ? 'live: runs' : 'waits, without a container',
      ];
    }),
  );
  const more = branches.length - rows.length;
  return [
    `${printable(repository)} is new here, and ${branches.length} of its branches have a .hoody directory:\n`,
    formatTable(rows),
    more > 0 ? `  and ${more} more, which wait\n` : '',
    'The live branch runs. Every other one waits for a push or for `branchtab release <branch>`; with --yes all of them run at once.\n',
  ].join('');
}

/** Throws CONFIRMATION_NEEDED where nobody is there to be asked. */
export async function askAboutFirstContact(
  meetings: readonly FirstMeeting[],
  {
    isTty,
    terminal,
    confirm,
    signal,
  }: {
    isTty: boolean;
    terminal: Terminal;
    confirm: () => Promise<boolean>;
    signal: AbortSignal;
  },
): Promise<boolean> {
  for (const meeting of meetings) {
    if (!isTty) throw refusal(meeting.census);
    terminal.err(await firstContactPlan(meeting, signal));
  }
  return meetings.length === 0 || (await confirm());
}

function refusal({repository, branches}: Census): AppError {
  return new AppError(
    'CONFIRMATION_NEEDED',
    `${repository} is new here, and ${branches.length} of its branches have a .hoody directory, more than ${mostUnasked}. Run \`branchtab up\` once at a terminal, where it shows what it would do and asks; add --yes to run all of them; or serve fewer with --branches.`,
    {details: {repository, branches: branches.length, unasked: mostUnasked}},
  );
}
