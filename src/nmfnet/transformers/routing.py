"""Who takes which metadata, for scikit-learn's metadata routing."""

from __future__ import annotations

from typing import Any


class SharedRouting:
    """A request for `weights` on `fit` is one on `transform`, too."""

    def get_metadata_routing(self) -> Any:
        """Return who takes which metadata; `fit_transform` takes what `fit` and `transform` take.

        `transform` asks for `weights` where `fit` does, unless it has a request of its own: scikit-learn refuses
        to compose the two for `fit_transform`, as in a pipeline, where they differ.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        routing = super().get_metadata_routing()  # type: ignore[misc]
        if routing.transform.requests.get("weights", False) is None:
            routing.transform.add_request(param="weights", alias=routing.fit.requests.get("weights"))
        return routing
