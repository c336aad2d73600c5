import type {Branch} from '../schemas/branch.ts';
import {
  type ContainerItem,
  type ContainerOperation,
  type CreateContainer,
  type CreateSnapshot,
  containerIdOf,
  type SnapshotView,
} from '../schemas/container-api.ts';
import {AppError} from '../schemas/errors.ts';
import {type ContainerFacts, containerView} from './branch-view.ts';
import type {ContainerProvider, Snapshot} from './containers/provider.ts';
import type {Controller} from './controller.ts';
import type {StandaloneContainers} from './standalone-containers.ts';

/** Containers and snapshots as people ask for them, those of branches and standalone ones. Errors are AppErrors. */
export interface ContainerService {
  /** Those of branches first. */
  list(): ContainerItem[];
  /** By id, branch or name. Throws CONTAINER_NOT_FOUND, BRANCH_AMBIGUOUS. */
  get(container: string): ContainerItem;
  /** Throws CONTAINER_NOT_FOUND, CONTAINER_OF_BRANCH with what to do, PROVIDER_UNAVAILABLE. */
  operate(container: string, operation: ContainerOperation): Promise<ContainerItem>;
  create(request: CreateContainer, options: {signal: AbortSignal}): Promise<ContainerItem>;
  /** Takes an id with or without `ctr_`, or a name. Throws CONTAINER_NOT_FOUND, and CONTAINER_OF_BRANCH with what to do. */
  remove(container: string): Promise<void>;
  snapshots(): Promise<SnapshotView[]>;
  /** Replaces an older snapshot of that name. Throws CONTAINER_NOT_FOUND, BRANCH_AMBIGUOUS, INVALID_NAME. */
  snapshot(request: CreateSnapshot): Promise<SnapshotView>;
  /** Throws SNAPSHOT_NOT_FOUND. */
  removeSnapshot(name: string): Promise<void>;
}

export function createContainerService({
  controller,
  standalone,
  provider,
  baseUrl,
  retention,
}: {
  controller: Pick<Controller, 'branches' | 'branch'>;
  standalone: StandaloneContainers;
  provider: ContainerProvider;
  baseUrl: () => string;
  /** So many snapshots of each container stay, the newest, beside those of these names. */
  retention: {readonly keep: number; readonly names: ReadonlySet<string>};
}): ContainerService {
  const standaloneItem = (facts: ContainerFacts): ContainerItem => ({
    ...containerView(facts, {
      baseUrl: baseUrl(),
      provider: provider.name,
      level: provider.level,
      gaps: provider.gaps,
    }),
    branch: null,
    path: null,
    repository: null,
    standalone: true,
  });
  const list = () => [...controller.branches().flatMap(branchItem), ...standalone.list().map(standaloneItem)];
  /** An id first; then a branch, since its name is what people mean by it; then the name of a container. */
  const find = (text: string): ContainerItem => {
    const all = list();
    const id = containerIdOf(text);
    const item =
      all.find((each) => id !== null && each.id === `ctr_${id}`) ??
      ofBranch(controller, text) ??
      all.find(({name}) => name === text);
    if (item === undefined) throw notFound(text);
    return item;
  };

  return {
    list,
    create: async (request, options) => standaloneItem(await standalone.create(request, options)),
    get: find,
    async operate(container, operation) {
      const item = find(container);
      if (!item.standalone) {
        throw new AppError(
          'CONTAINER_OF_BRANCH',
          `${item.id} belongs to the branch ${item.branch} of ${item.repository}, which keeps it running. \`branchtab pause ${item.branch}\` keeps its jobs from running.`,
        );
      }
      if (operation !== 'start') await standalone.stop(item.name);
      return operation === 'stop' ? find(item.id) : standaloneItem(await standalone.resume(item.name));
    },
    async remove(container) {
      const item = find(container);
      if (!item.standalone) {
        throw new AppError(
          'CONTAINER_OF_BRANCH',
          `${item.id} belongs to the branch ${item.branch} of ${item.repository} and goes with it: delete the branch, or leave it out of \`branches\` in branchtab.yaml.`,
        );
      }
      await standalone.remove(item.name);
    },
    snapshots: async () => (await provider.listSnapshots()).map(snapshotView),
    async snapshot({container, name}) {
      const made = await provider.snapshot(find(container).id.slice('ctr_'.length), name);
      const ofContainer = (await provider.listSnapshots())
        .filter((snapshot) => snapshot.containerId === made.containerId && snapshot.name !== name)
        .filter((snapshot) => !retention.names.has(snapshot.name))
        .sort((a, b) => b.createdAt.localeCompare(a.createdAt));
      for (const old of ofContainer.slice(retention.keep - 1)) await provider.removeSnapshot(old.name);
      return snapshotView(made);
    },
    async removeSnapshot(name) {
      const known = (await provider.listSnapshots()).some((snapshot) => snapshot.name === name);
      if (!known) {
        throw new AppError(
          'SNAPSHOT_NOT_FOUND',
          `There is no snapshot ${JSON.stringify(name.slice(0, 100))}; \`branchtab snapshots list\` shows them.`,
        );
      }
      await provider.removeSnapshot(name);
    },
  };
}

function branchItem({container, branch, path, repository}: Branch): ContainerItem[] {
  return container === null ? [] : [{...container, branch, path, repository, standalone: false}];
}

/** Undefined where nothing is served under this name or key. */
function ofBranch(controller: Pick<Controller, 'branch'>, nameOrKey: string): ContainerItem | undefined {
  try {
    const [item] = branchItem(controller.branch(nameOrKey));
    if (item === undefined) throw notFound(nameOrKey);
    return item;
  } catch (error) {
    if (error instanceof AppError && error.code === 'BRANCH_NOT_FOUND') return undefined;
    throw error;
  }
}

function snapshotView({name, containerId, createdAt}: Snapshot): SnapshotView {
  return {name, container_id: `ctr_${containerId}`, created_at: createdAt};
}

function notFound(container: string): AppError {
  return new AppError(
    'CONTAINER_NOT_FOUND',
    `There is no container ${JSON.stringify(container.slice(0, 100))}, nor a branch of that name that has one; \`branchtab containers list\` shows them.`,
  );
}
