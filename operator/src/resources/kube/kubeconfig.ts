// A module of its own, so that it is loaded late and a bundle takes this one name and not the models of the whole API.
export { KubeConfig } from '@kubernetes/client-node';
