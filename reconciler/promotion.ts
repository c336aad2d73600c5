import {createSecretMask} from '../runtime/platform/secret-mask.ts';
import {branchName, inDirectory, isForkName} from '../schemas/branch-name.ts';
import {AppError} from '../schemas/errors.ts';
import type {Promotion, PromotionPull} from '../schemas/hand-change.ts';
import type {SecretSource} from '../schemas/secret-source.ts';
import type {BranchRecord} from './branch-record.ts';
import type {ControllerContext} from './controller-context.ts';
import {readNamed} from './environments.ts';
import {code} from './reports/markdown.ts';

/** Where the pull request of a branch can be, and what it must not hold. */
type PromotionContext = Pick<ControllerContext, 'options' | 'rulesOf'>;

/** What a promotion changes, as a pull request on the forge of its repository. Errors are AppErrors. */
export async function openPromotion(
  record: BranchRecord,
  {branch, revision, files}: Promotion,
  {context: {options, rulesOf}, signal}: {context: PromotionContext; signal: AbortSignal},
): Promise<PromotionPull> {
  const paths = files.map(({path}) => path);
  const {forge, forgePath, source} = placeOf(record, options);
  if (files.length === 0) return {branch, revision, files: paths, pull_request: null};
  await refuseSecrets(files, {
    branch,
    sources: new Map(rulesOf(record).flatMap(({secrets}) => Object.entries(secrets))),
    readSecret: options.readSecret,
  });
  const tree = await source.readHoody(revision, {path: record.path, signal});
  const present = tree === null ? [] : await source.diffTrees(null, tree.rootTree, {signal});
  const executable = new Set(
    present.flatMap((file) =>
      file.kind === 'write' && file.mode === 'executable' ? [inDirectory(record.path, file.path)] : [],
    ),
  );
  const pull = await forge.propose(
    forgePath,
    {
      branch: `branchtab/promote-${record.key}`,
      base: record.branch,
      parent: revision,
      files: files.map(({path, after}) => ({
        path,
        content: after === null ? null : Buffer.from(after, 'base64'),
        isExecutable: executable.has(path),
      })),
      title: `Keep what was changed by hand in ${branchName(record)}`,
      body: [
        `Crontabs and scripts of ${code(branchName(record))} as they run, where that differs from git.`,
        '',
        'Opened by `branchtab promote --pull-request`, which brings it up to date when it is called again, as long as nobody else has pushed to its branch. Entries made through the API are not part of it: they stay anyway.',
      ].join('\n'),
      marker: `Branchtab-Promotes: ${record.key}`,
    },
    {signal},
  );
  return {branch, revision, files: paths, pull_request: pull};
}

function placeOf({repository, branch}: BranchRecord, {forge, repositories}: ControllerContext['options']) {
  const watched = repositories.find(({source}) => source.repository === repository);
  const forgePath = watched?.forgePath ?? null;
  const otherwise = 'Without --pull-request it is printed as a patch.';
  if (isForkName(branch)) {
    throw new AppError(
      'PULL_REQUEST_IMPOSSIBLE',
      `${branch} is the pull request of a fork, to whose branch Branchtab does not write. ${otherwise}`,
    );
  }
  if (forge === null || watched === undefined || forgePath?.split('/')[0] !== forge.host) {
    const why =
      forge === null
        ? 'no `github` is configured'
        : `${repository} is not on ${forge.host}; where it is read from another place, \`forge_url\` says where it is`;
    throw new AppError(
      'PULL_REQUEST_IMPOSSIBLE',
      `A pull request cannot be opened: ${why} in branchtab.yaml (see docs/github.md). ${otherwise}`,
    );
  }
  return {forge, forgePath, source: watched.source};
}

/** During an incident values are typed where they do not belong; those of other branches too. */
async function refuseSecrets(
  files: Promotion['files'],
  {
    branch,
    sources,
    readSecret,
  }: {
    branch: string;
    sources: ReadonlyMap<string, SecretSource>;
    readSecret: (source: SecretSource) => Promise<string>;
  },
): Promise<void> {
  for (const [name, source] of sources) {
    const mask = createSecretMask([await readNamed(name, source, readSecret)]);
    const holds = (content: string | null) => {
      const text = Buffer.from(content ?? '', 'base64').toString('utf8');
      return mask.text(text) !== text;
    };
    const exposed = files.find(({before, after}) => holds(after) && !holds(before));
    if (exposed === undefined) continue;
    throw new AppError(
      'SECRET_EXPOSED',
      `${exposed.path} of ${branch} holds the value of the secret ${name}. Nothing was published; write $${name} there in its place, then try again.`,
    );
  }
}
