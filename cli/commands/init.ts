import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join, relative, resolve} from 'node:path';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {isErrno} from '../../runtime/platform/durable-file.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {type GitHubSetupFlags, gitHubSteps, readGitHubSetup} from '../github-setup.ts';
import {gitHubWorkflow, workflowFile} from '../github-workflow.ts';
import type {Environment} from '../settings.ts';
import type {Terminal} from '../terminal.ts';

const files: Readonly<Record<string, string>> = {
  '.hoody/crontab': `# Runs in a container of its own for every branch. Five fields, then a command:
# minute hour day-of-month month day-of-week
0 * * * * echo "hello from $HOODY_BRANCH"
*/15 * * * * curl -fsS "$HOODY_EXEC_URL/hello"
`,
  '.hoody/exec/hello.ts': `// Answers /hello on every branch. What it returns is the answer.
return {hello: metadata.query.name ?? 'world', branch: process.env.HOODY_BRANCH};
`,
  'branchtab.yaml': `## Settings of whoever runs Branchtab: read from the directory in which \`branchtab up\` is started, and never
## from a branch. All of it is a suggestion: take the # away from what you want.

# environments:
#   - branches: '**'
#     variables: {STRIPE_MODE: test}
##     Previews that nobody pushes are paused after 14 days and go to the trash after 28. Without this they stay.
#     idle: {pause_after: 14d, remove_after: 28d}
#   - branches: live
#     variables: {STRIPE_MODE: live}
#     secrets: {STRIPE_KEY: {from_file: /etc/branchtab/stripe-live}}
##     Long-lived branches are never idle, and stay when they are merged.
#   - branches: staging
#     keep: true
# previews: {run: changed}
# undo_window: 24h
`,
};

export interface InitFlags extends GitHubSetupFlags {
  readonly repo?: readonly string[];
  readonly github?: boolean;
  readonly json?: boolean;
}

/** `branchtab init`: writes a first crontab, script and settings into the work tree; existing files stay, nothing is committed. */
export async function init(
  flags: InitFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const source = await openLocalSource({
    path: resolve(flags.repo?.[0] ?? '.'),
    environment,
    clock: systemClock,
    log: silentLog,
  });
  await source.close();
  const gitHub = flags.github ? await readGitHubSetup(source.repository, flags, environment) : null;
  const written: string[] = [];
  const kept: string[] = [];
  const wanted = gitHub === null ? files : {...files, [workflowFile]: gitHubWorkflow(gitHub)};
  for (const [path, text] of Object.entries(wanted)) {
    const target = join(source.repository, path);
    await mkdir(dirname(target), {recursive: true});
    try {
      await writeFile(target, text, {flag: 'wx'});
      written.push(path);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      kept.push(path);
    }
  }
  const webhook = (await gitHub?.webhook?.()) ?? null;
  if (flags.json)
    terminal.out(
      `${JSON.stringify({repository: source.repository, written, kept, ...(gitHub === null ? {} : {webhook})})}\n`,
    );
  else {
    for (const path of written) terminal.out(`wrote ${path}\n`);
    for (const path of kept) terminal.out(`kept ${path}\n`);
    if (gitHub !== null) {
      terminal.err(gitHubSteps(gitHub, webhook));
      return exitCodes.ok;
    }
    const where = relative(process.cwd(), source.repository);
    terminal.err(
      `Nothing was committed. To run it: ${where === '' ? '' : `cd ${where} && `}git add .hoody && git commit -m "Add a schedule", then \`branchtab up\`.\n`,
    );
  }
  return exitCodes.ok;
}
