import {AppError} from '../../schemas/errors.ts';

/** What git says, in lower case, and what a person can do about it. First match wins. */
const advice: readonly (readonly [RegExp, string])[] = [
  [
    /dubious ownership/,
    'It belongs to another user. Run as that user, or give the exact top directory of the repository as its path.',
  ],
  [
    /unknown repository (extension|storage)|expected git repo version/,
    'Its format is newer than the git of this machine. Install a newer git; reftable needs 2.45.',
  ],
  [
    /not a git repository/,
    'Give the path of a work tree or of a bare repository, or make one with "git init".',
  ],
  [
    /authentication failed|could not read (username|password)|terminal prompts disabled|permission denied \(|error: 40[13]\b/,
    'Check that the credentials are right and may read this repository.',
  ],
  [
    /repository .*not found|does not appear to be a git repository|error: 404/,
    'Check the address and that it may be read.',
  ],
  [
    /could not resolve host|failed to connect|unable to access|connection (refused|reset|timed out|closed)|timeout|timed out/,
    'Check the address and the network. It is tried again.',
  ],
  [/permission denied|eacces|eperm/, 'Let the user that runs Branchtab read it.'],
  [
    /no such file|enoent|cannot change to/,
    'It was moved or deleted. Put it back, or take it out of the configuration.',
  ],
  [/promisor|partial clone/, 'It is a partial clone. Give a complete clone, or the URL of its remote.'],
];

/** AppError REPOSITORY_UNREADABLE: what could not be done, why, and what to do. `detail` has no credentials in it. */
export function unreadable(repository: string, action: string, detail: string, cause?: unknown): AppError {
  const text = detail.toLowerCase();
  const found = advice.find(([pattern]) => pattern.test(text));
  const whatToDo = found?.[1] ?? 'Run "git fsck" in the repository to see whether it is damaged.';
  return new AppError('REPOSITORY_UNREADABLE', `${repository}: ${action}: ${sentence(detail)} ${whatToDo}`, {
    details: {repository},
    ...(cause === undefined ? {} : {cause}),
  });
}

function sentence(text: string): string {
  const line = text.replaceAll(/\s*\n\s*/g, '; ').trim();
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
