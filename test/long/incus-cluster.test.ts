import {registerIncusClusterContract} from '../contract/incus-cluster.ts';
import {startTestCluster} from '../helpers/incus-cluster.ts';

registerIncusClusterContract('a cluster of LXD', await startTestCluster('lxd'));
