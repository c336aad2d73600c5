import {createHash} from 'node:crypto';
import type {ContainerSpec, Labels} from './engine.ts';

const ownerLabel = 'branchtab.owner';
const idLabel = 'branchtab.id';
const specLabel = 'branchtab.spec';
const imageOwnerLabel = 'branchtab.image_owner';

/** How what is ours is told from everything else in an engine. `owner` names one state directory: hex digits. */
export function engineLabels(owner: string) {
  return {
    /** Of networks and images, and the beginning of other names. */
    resourceName: `branchtab-${owner.slice(0, 12)}`,
    /** What everything carries that is made for this state directory. */
    ofAll: {[ownerLabel]: owner},
    filter: `${ownerLabel}=${owner}`,
    imageFilter: `${imageOwnerLabel}=${owner}`,
    ofContainer: (id: string, spec: string): Labels => ({
      [ownerLabel]: owner,
      [idLabel]: id,
      [specLabel]: spec,
    }),
    /** Our id of a container; null where it is not of this state directory, or none of ours. */
    containerIdOf: (labels: Labels): string | null =>
      labels[ownerLabel] === owner && labels[idLabel] ? labels[idLabel] : null,
    specOf: (labels: Labels): string | null => labels[specLabel] ?? null,
    isOwnImage: (labels: Labels): boolean => labels[imageOwnerLabel] === owner,
  };
}

export type EngineLabels = ReturnType<typeof engineLabels>;

/** An image takes over the labels of the container it is made from: a container that a person makes of it is not ours. */
export function imageLabels(owner: string): Labels {
  return {[imageOwnerLabel]: owner, [ownerLabel]: '', [idLabel]: '', [specLabel]: ''};
}

/** Changes with what only a new container of the engine can have. Limits and the image can follow. */
export function specDigest(spec: ContainerSpec): string {
  const {image: _image, limits: _limits, labels: _labels, ...made} = spec;
  return createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 16);
}
