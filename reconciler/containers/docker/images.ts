import {randomBytes} from 'node:crypto';
import type {Log} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {Engine, EngineImage} from './engine.ts';
import {type EngineLabels, imageLabels} from './engine-labels.ts';
import {requireGlibcInImage} from './image-glibc.ts';

export interface ImagesOptions {
  readonly engine: Engine;
  readonly owner: string;
  readonly labels: EngineLabels;
  readonly log: Log;
}

/** What containers are made from: images of the engine's, and those we make for snapshots. */
export class Images {
  readonly #options: ImagesOptions;
  readonly #usable = new Set<string>();
  /** On their way into a snapshot or a record. */
  readonly #committed = new Set<string>();

  constructor(options: ImagesOptions) {
    this.#options = options;
  }

  /** Throws IMAGE_UNUSABLE where containers cannot be made from it. */
  async require(reference: string): Promise<EngineImage> {
    const {engine, labels} = this.#options;
    const image = (await engine.findImage(reference)) ?? (await this.#pull(reference));
    if (this.#usable.has(image.id) || labels.isOwnImage(image.labels)) return image;
    await requireGlibcInImage(engine, {
      reference,
      image: image.id,
      name: `${labels.resourceName}-probe-${randomBytes(6).toString('hex')}`,
      labels: labels.ofAll,
    });
    this.#usable.add(image.id);
    return image;
  }

  /** Makes an image of a container of the engine, which is kept at least until `keep` has been done. */
  async commit<T>(engineId: string, keep: (image: string) => Promise<T>): Promise<T> {
    const {engine, owner, labels} = this.#options;
    const image = await engine.commit(engineId, {
      repository: `localhost/${labels.resourceName}`,
      tag: randomBytes(8).toString('hex'),
      labels: imageLabels(owner),
    });
    this.#committed.add(image);
    try {
      return await keep(image);
    } finally {
      this.#committed.delete(image);
    }
  }

  /** Removes those of ours that are not `needed`. */
  async tidy(needed: readonly (string | null)[]): Promise<void> {
    const {engine, labels} = this.#options;
    const kept = [...needed, ...this.#committed];
    for (const {id} of await engine.listImages(labels.imageFilter)) {
      const isNeeded = kept.some((each) => each !== null && sameImage(each, id));
      if (!isNeeded) await engine.removeImage(id);
    }
  }

  async #pull(reference: string): Promise<EngineImage> {
    const {engine, log} = this.#options;
    const advice = 'Check `docker.image` of branchtab.yaml, or pull it with the engine itself.';
    try {
      if (!reference.startsWith('sha256:')) {
        log.info('pulling an image', {image: reference, engine: engine.address});
        await engine.pullImage(reference);
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AppError(
        'IMAGE_UNUSABLE',
        `The image ${reference} cannot be pulled: ${reason.replace(/\.?$/, '.')} ${advice}`,
        {
          cause,
        },
      );
    }
    const image = await engine.findImage(reference);
    if (image === null) throw new AppError('IMAGE_UNUSABLE', `There is no image ${reference}. ${advice}`);
    return image;
  }
}

/** Engines write an id with and without the name of its hash. */
function sameImage(one: string, other: string): boolean {
  const digits = (id: string) => id.replace(/^sha256:/, '');
  return digits(one) === digits(other);
}
