import {execFile} from 'node:child_process';
import {chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {parse} from 'yaml';
import * as z from 'zod';
import packageJson from '../../package.json' with {type: 'json'};
import {checkout} from '../helpers/command-world.ts';

const execute = promisify(execFile);
const tag = `v${packageJson.version}`;

const stepSchema = z.object({name: z.string().optional(), run: z.string().optional()});
const workflowSchema = z.object({
  jobs: z.object({
    build: z.object({
      strategy: z.object({matrix: z.object({include: z.array(z.object({arch: z.enum(['x64', 'arm64'])}))})}),
      steps: z.array(stepSchema),
    }),
    publish: z.object({steps: z.array(stepSchema)}),
  }),
});

/** What a step that this machine cannot take as it stands becomes. Each must be in the workflow, word for word. */
const replaced: Readonly<Record<string, string>> = {
  // The runner is one of its kind; here the other machine's file is built from this one.
  'npm run build -- "dist/branchtab-linux-arm64"':
    'npm run build -- --arch arm64 "dist/branchtab-linux-arm64"',
  // Only GitHub proves where a package comes from, and nothing is to be published.
  'npm publish --provenance': 'npm publish --dry-run --tag next && npm pack --pack-destination ../package',
};

/** A clone of what is committed here, with the tag of a release, as `actions/checkout` leaves it. */
async function tagged(directory: string): Promise<{path: string; sha: string}> {
  const path = join(directory, `checkout-${crypto.randomUUID()}`);
  await execute('git', ['clone', '--quiet', '--no-hardlinks', checkout, path]);
  await execute('git', ['tag', '--force', tag], {cwd: path});
  const {stdout} = await execute('git', ['rev-parse', 'HEAD'], {cwd: path});
  return {path, sha: stdout.trim()};
}

test('each step of the release workflow does what it says', async (t) => {
  t.timeout(1_200_000);
  const workflow = workflowSchema.parse(
    parse(await readFile(join(checkout, '.github/workflows/release.yml'), 'utf8')),
  );
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'branchtab-release-')));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const tools = join(directory, 'tools');
  await mkdir(tools);
  await mkdir(join(directory, 'package'));
  // Says what it was asked to do instead of doing it.
  await writeFile(
    join(tools, 'gh'),
    `#!/bin/sh\nls -- "$@" 2>/dev/null\necho "gh $*" >> ${directory}/gh.log\n`,
  );
  await chmod(join(tools, 'gh'), 0o755);
  const taken = new Set<string>();

  async function runSteps(
    steps: readonly z.infer<typeof stepSchema>[],
    {path, sha, arch}: {path: string; sha: string; arch: string},
  ): Promise<void> {
    for (const {run} of steps) {
      if (run === undefined) continue;
      const text = run.trim().replace(/\$\{\{ matrix\.arch \}\}/g, arch);
      t.notRegex(text, /\$\{\{/, 'an expression that is not known here');
      const script = replaced[text] ?? text;
      if (script !== text) taken.add(text);
      await t.notThrowsAsync(
        // As a step without `shell` is run.
        execute('bash', ['-e', '-c', script], {
          cwd: path,
          env: {
            PATH: `${tools}:${process.env.PATH}`,
            HOME: directory,
            CI: 'true',
            GITHUB_ACTIONS: 'true',
            GITHUB_REF: `refs/tags/${tag}`,
            GITHUB_REF_NAME: tag,
            GITHUB_REF_TYPE: 'tag',
            GITHUB_SHA: sha,
            GITHUB_WORKSPACE: path,
            npm_config_cache: join(directory, 'npm-cache'),
          },
          maxBuffer: 64 * 1024 * 1024,
        }),
        script,
      );
    }
  }

  const {build, publish} = workflow.jobs;
  const arches = build.strategy.matrix.include.map(({arch}) => arch);
  t.deepEqual(arches, ['x64', 'arm64']);
  const built = await tagged(directory);
  for (const arch of arches) {
    if (arch === process.arch || (await runsForeign(arch))) await runSteps(build.steps, {...built, arch});
    else t.log(`SKIP arch=${arch} reason=neither this machine nor an emulator runs it`);
  }

  const published = await tagged(directory);
  await execute('cp', ['-r', join(built.path, 'dist'), join(published.path, 'release')]);
  await runSteps(publish.steps, {...published, arch: ''});
  const {stdout: sums} = await execute('sha256sum', ['--check', 'SHA256SUMS'], {
    cwd: join(published.path, 'release'),
  });
  t.regex(sums, /^branchtab-linux-x64: OK$/m);
  t.regex(sums, /^branchtab\.service: OK$/m);
  t.regex(
    await readFile(join(directory, 'gh.log'), 'utf8'),
    new RegExp(
      `^gh release create ${tag} --verify-tag .*release/SHA256SUMS.*release/branchtab-linux-x64`,
      'm',
    ),
  );

  const project = join(directory, 'project');
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{}');
  const [archive = ''] = await readdir(join(directory, 'package'));
  await execute('npm', ['install', '--no-audit', '--no-fund', join(directory, 'package', archive)], {
    cwd: project,
  });
  const {stdout: version} = await execute('npx', ['--no-install', 'branchtab', 'version'], {cwd: project});
  t.true(version.startsWith(`branchtab ${packageJson.version}\n`), version);
  t.true(version.includes(published.sha), version);
  for (const text of Object.keys(replaced))
    t.true(taken.has(text) || text.includes('arm64'), `no step is ${JSON.stringify(text)}`);
});

/** True where the kernel starts a program for another machine, with an emulator. */
async function runsForeign(arch: string): Promise<boolean> {
  const emulator = arch === 'arm64' ? 'qemu-aarch64' : 'qemu-x86_64';
  const entry = await readFile(`/proc/sys/fs/binfmt_misc/${emulator}`, 'utf8').catch(() => '');
  return entry.startsWith('enabled');
}
