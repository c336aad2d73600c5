import type {Container} from '../reconciler/containers/provider.ts';
import type {Controller} from '../reconciler/controller.ts';
import type {StandaloneContainers} from '../reconciler/standalone-containers.ts';
import {AppError} from '../schemas/errors.ts';

/**
 * The container that a name in an address means: its id, its name or the key of its branch; a branch by its name; or
 * the readable part of a key where only one branch has it, as `feature-x` for `feature/x`. Null for none, and for one
 * that is in the trash.
 */
export function containerNamed(
  name: string,
  {controller, standalone}: {controller: Controller; standalone: Pick<StandaloneContainers, 'find'>},
): Container | null {
  const exact = controller.container(name) ?? standalone.find(name);
  if (exact !== null) return exact;
  const branch = branchKeyOf(name, controller);
  return branch === null ? null : controller.container(branch);
}

function branchKeyOf(name: string, controller: Controller): string | null {
  try {
    return controller.branch(name).key;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const keys = controller.branches().flatMap(({key}) => (key.slice(0, -hashLength) === name ? [key] : []));
    return keys.length === 1 ? (keys[0] ?? null) : null;
  }
}

/** Of the hash of a key, with its hyphen. */
const hashLength = '-0123abcd'.length;
