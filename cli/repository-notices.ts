import type {RepositoryStatus} from '../schemas/repository.ts';
import {type Paint, printable} from './terminal.ts';

/** What is wrong with whole repositories, one line each; empty when nothing is. */
export function repositoryNotices(repositories: readonly RepositoryStatus[], paint: Paint): string {
  return repositories
    .flatMap(({repository, error, held_deletions}) => [
      ...(error === null ? [] : [`${paint.red(printable(repository))} ${printable(error.message)}\n`]),
      ...(held_deletions === null
        ? []
        : [
            `${paint.yellow(printable(repository))} ${held_deletions.missing} of ${held_deletions.previews} previews are gone at once; nothing is removed until \`branchtab reconcile --confirm-deletions\`.\n`,
          ]),
    ])
    .join('');
}
